"""Patterns for the hosts of URLs: `domain:example.com`, `domain:*.example.com`.

`*` stands for any characters. Patterns get the form that hosts have (`domain.web.network`).
"""

from domain.rules.entries import DOMAIN
from domain.rules.text_patterns import matches_wildcards
from domain.web.network import parse_host

_ANY_LABEL = "perdure-any"
"""Replaces `*` while a pattern is converted to the form of a host."""


def matches_host(pattern: str, host: str) -> bool:
    """Whether the pattern, with `domain:`, matches a host; `*.a.example` matches no `a.example`."""
    normal = normalise_host_pattern(pattern)
    return normal is not None and matches_wildcards(normal, host)


def normalise_host_pattern(pattern: str) -> str | None:
    """Return the pattern for hosts without `domain:`, or None if no host can match it.

    `domain:Example.COM.` and `domain:example.com` are equal.
    """
    if not pattern.startswith(DOMAIN):
        return None
    written = pattern.removeprefix(DOMAIN).strip()
    if not written.strip("*"):
        return "*" if written else None
    if "*" not in written:
        return parse_host(written)
    found = parse_host(written.replace("*", _ANY_LABEL))
    return None if found is None else found.replace(_ANY_LABEL, "*")
