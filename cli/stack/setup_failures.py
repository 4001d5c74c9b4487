"""Why a program that prepares the database failed: one sentence, and what to do.

The output of the program is kept in a log.
"""

import os
import re

from cli.stack.home import Home
from cli.stack.process import PartFailedError, ProgramFailedError

LOG = "setup"
"""The log that keeps the output."""

FULL = re.compile("No space left on device|Disk quota exceeded")
"""As the C library writes ENOSPC and EDQUOT; initdb and Postgres run with `LC_ALL=C`."""

OWN_MESSAGE = re.compile(r"^perdure: (.+)", re.MULTILINE)
"""What our commands print: the reason, and what to do."""

REASON = re.compile(r"(?:\bFATAL: +|\berror: )(.+)", re.MULTILINE)
"""Postgres and initdb write the reason after one of these."""

DEFAULT_ADVICE = (
    "Fix the cause and run `perdure up` again, or set PERDURE_DATABASE_URL to use a server of your "
    "own."
)


class SetupFailedError(PartFailedError):
    """The database can't be prepared; the message says why, what to do, and where the output is."""

    @classmethod
    def of(cls, error: ProgramFailedError, what: str, home: Home) -> "SetupFailedError":
        """`what` is what can't be done with the database, such as `created`."""
        reason, advice = "a program failed", error.advice or DEFAULT_ADVICE
        if found := FULL.search(error.output):
            reason = found[0].lower()
            advice = (
                f"Free disk space for {home.path}, or set PERDURE_HOME to a directory on another "
                "disk."
            )
        elif found := OWN_MESSAGE.search(error.output):
            reason, advice = found[1].rstrip("."), ""
        elif found := REASON.search(error.output):
            reason = found[1].rstrip(".")
        words = f"The database can't be {what}: {reason}.", advice, _keep(error, home)
        return cls(" ".join(filter(None, words)))


def _keep(error: ProgramFailedError, home: Home) -> str:
    """Append the output to the log, and say so; return the output if the log can't be written."""
    log = home.log(LOG)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{error}{os.linesep}")
    except OSError:
        return f"The output:\n{error}"
    return f"All output is in {log}."
