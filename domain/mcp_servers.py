"""MCP servers as they are named and kept: what is secret about them, and what may be shown."""

import re

from domain.secrets import NAME, SCHEME

MASK = "********"
"""What stands for a value that is stored sealed; sent back, it leaves the value as it is."""

_REFERENCE = re.compile(rf"(?:[A-Za-z]+ )?({re.escape(SCHEME)}{NAME})")
_SECRET_NAME = re.compile(
    r"auth(?!ors?\b)|token|secret|passw|credential|cookie"
    r"|(^|[-_ ])(api|access|private)?[-_ ]?key($|[-_ ])",
    re.IGNORECASE,
)


def reference_in(value: str) -> str | None:
    """The `secret://name` in a value that is one, or one behind a word: `Bearer secret://name`."""
    found = _REFERENCE.fullmatch(value)
    return found and found[1]


def sounds_secret(name: str) -> bool:
    """Whether a header or variable of this name holds what nobody should read."""
    return _SECRET_NAME.search(name) is not None
