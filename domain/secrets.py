"""References to secrets, `secret://name`, and what a secret may reach."""

import re
from collections.abc import Iterable

SCHEME = "secret://"
NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"
HOST = r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,252})"

_REFERENCE = re.compile(rf"(?:{re.escape(SCHEME)})?({NAME})")


def is_reference(value: str) -> bool:
    """Whether a value names a secret instead of being one."""
    return value.startswith(SCHEME)


def name_in(reference: str) -> str | None:
    """The secret's name in `secret://name` (or the name alone); None where it is neither."""
    found = _REFERENCE.fullmatch(reference)
    return found and found[1]


def may_reach(hosts: Iterable[str], host: str) -> bool:
    """Whether a secret bound to `hosts` may be sent to `host`; `*.` stands for any subdomain."""
    asked = host.lower().rstrip(".")
    return any(
        asked.endswith(bound[1:].lower()) if bound.startswith("*.") else asked == bound.lower()
        for bound in hosts
    )
