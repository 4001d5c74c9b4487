"""Exit codes of commands, and the errors that carry one."""

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar, NoReturn

from domain.text import harmless


class Exit(IntEnum):
    """What a script finds in `$?`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    WAITING = 4
    INTERRUPTED = 130
    """Ctrl-C, as in a shell: 128 + SIGINT."""


class CommandError(Exception):
    """Ends the command: its text is for people, `exit` for scripts."""

    exit: ClassVar[Exit] = Exit.USAGE


def run_to_code(command: Callable[[], int | str | None]) -> int | str | None:
    """Run the command and return its exit code; a `CommandError` is printed on stderr."""
    try:
        return command()
    except CommandError as error:
        print(f"perdure: {harmless(str(error))}", file=sys.stderr)  # noqa: T201 - a command prints
        return error.exit
    except SystemExit as end:
        return end.code


def exit_with(command: Callable[[], int | str | None]) -> NoReturn:
    """Run the command and exit with its code."""
    code = run_to_code(command)
    if "temporalio" in sys.modules and isinstance(code, int | None):
        # Threads of Temporal's core may abort the process while the interpreter shuts down
        # (temporalio/sdk-python#300): exit without shutting it down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    sys.exit(code)
