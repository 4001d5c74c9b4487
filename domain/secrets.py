"""References to secrets (`secret://name`), the hosts they may be sent to, and secret values."""

import base64
import binascii
import re
from collections.abc import Iterable

from domain.errors import SecretUnusableError

SCHEME = "secret://"
NAME = r"[a-z0-9][a-z0-9_.-]{0,62}"
HOST = r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,252})"

MASK = "********"
"""Shown in place of a secret value of an MCP server. Sent back, it keeps the stored value."""

_KEY_PREFIX = "whsec_"
_KEY_BYTES = 24
"""Shortest key that signs: the minimum of Standard Webhooks (its specification, 2026)."""

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


def decode_signing_key(value: str) -> bytes:
    """Decode the key of a webhook strictly; the library would accept any text.

    Raises:
        SecretUnusableError: it is not `whsec_` and base64, or is too short.
    """
    try:
        key = base64.b64decode(value.removeprefix(_KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if value.startswith(_KEY_PREFIX) and len(key) >= _KEY_BYTES:
        return key
    raise SecretUnusableError(
        f"The secret is not a signing key (`{_KEY_PREFIX}` followed by the base64 of {_KEY_BYTES} "
        "bytes or more). Create one with `perdure secrets set NAME --signing-key`."
    )


def to_url_text(data: bytes) -> str:
    """Bytes as text for a cookie, a token or a URL."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_url_text(text: str) -> bytes:
    """The bytes of such a text.

    Raises:
        ValueError: it is not such a text.
    """
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sounds_secret(name: str) -> bool:
    """Whether the value of a header or variable with this name is probably secret."""
    return _SECRET_NAME.search(name) is not None
