"""References to secrets (`secret://name`), the hosts they may be sent to, and secret values."""

import re
from collections.abc import Iterable

SCHEME = "secret://"
NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"
HOST = r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,252})"

MASK = "********"
"""Shown in place of a secret value of an MCP server. Sent back, it keeps the stored value."""

_REFERENCE = re.compile(rf"(?:{re.escape(SCHEME)})?({NAME})")
_REFERENCE_IN_VALUE = re.compile(rf"(?:[A-Za-z]+ )?({re.escape(SCHEME)}{NAME})")
_SECRET_NAME = re.compile(
    r"auth(?!ors?\b)|token|secret|passw|credential|cookie"
    r"|(^|[-_ ])(api|access|private)?[-_ ]?key($|[-_ ])",
    re.IGNORECASE,
)


def name_in(reference: str) -> str | None:
    """The secret's name in `secret://name`, or in the name alone; None if it is neither."""
    found = _REFERENCE.fullmatch(reference)
    return found and found[1]


def reference_in(value: str) -> str | None:
    """The `secret://name` in a value, which may have a word before it: `Bearer secret://name`."""
    found = _REFERENCE_IN_VALUE.fullmatch(value)
    return found and found[1]


def may_reach(hosts: Iterable[str], host: str) -> bool:
    """Whether a secret bound to `hosts` may be sent to `host`; `*.` matches any subdomain."""
    target = host.lower().rstrip(".")
    return any(
        target.endswith(bound[1:].lower()) if bound.startswith("*.") else target == bound.lower()
        for bound in hosts
    )


def sounds_secret(name: str) -> bool:
    """Whether the value of a header or variable with this name is probably secret."""
    return _SECRET_NAME.search(name) is not None
