"""Asks the person at this terminal before something is done that can't be undone."""

import sys

from cli import show
from cli.exits import CommandError


class NotConfirmedError(CommandError):
    """The person refused, or could not be asked."""


def is_interactive() -> bool:
    """Whether a person at this terminal can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, is_required: bool = False) -> None:
    """Ask; without a terminal it is done, unless a confirmation `is_required`.

    Raises:
        NotConfirmedError: the person refuses, or can't be asked where it is required.
    """
    if is_interactive():
        if not ask_yes_or_no(question):
            raise NotConfirmedError("Nothing was changed.")
    elif is_required:
        raise NotConfirmedError(f"{question} Add --yes.")


def ask_yes_or_no(question: str) -> bool:
    """Ask until the answer is yes or no; an empty one is no."""
    while True:
        answer = read_line(f"{question} [y/N]").lower()
        if answer in {"y", "yes"}:
            return True
        if answer in {"", "n", "no"}:
            return False
        show.err.print("Write y for yes, or n for no.")


def read_line(prompt: str) -> str:
    """A line that the person writes."""
    return str(show.err.input(f"{prompt}: ", markup=False, emoji=False)).strip()
