"""Exit codes of the `perdure` command (contract.md, section 8)."""

from enum import IntEnum


class Exit(IntEnum):
    """What a script may ask `$?`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    WAITING = 4
