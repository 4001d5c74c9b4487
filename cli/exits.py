"""How a command ends: the exit codes of contract.md, section 8, and errors that carry one."""

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar, NoReturn

from domain.text import harmless


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


def leave_after(command: Callable[[], int | str | None]) -> NoReturn:
    """Run the command and leave with its exit code; what it can't do is one sentence on stderr."""
    code: int | str | None
    try:
        code = command()
    except CommandError as error:
        print(f"perdure: {harmless(str(error))}", file=sys.stderr)  # noqa: T201 - a command speaks
        code = error.exit
    except SystemExit as leaving:
        code = leaving.code
    if "temporalio" in sys.modules and isinstance(code, int | None):
        # Temporal's core has threads that may abort the process while the interpreter is being
        # taken down (temporalio/sdk-python#300): leave without taking it down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    sys.exit(code)
