"""How a command ends: the exit codes of contract.md, section 8, and errors that carry one."""

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """What a script may ask `$?`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    WAITING = 4


class CommandError(Exception):
    """Ends the command with a sentence for people and `exit` for scripts."""

    exit: ClassVar[Exit] = Exit.USAGE
