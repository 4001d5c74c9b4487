"""Questions to the person at this terminal: confirmations, lines and secrets."""

import sys

import typer

from cli.exits import CommandError
from cli.terminal import show


class NotConfirmedError(CommandError):
    """The person refused, or could not be asked."""


class NoSecretError(CommandError):
    """No secret was written."""


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


def read_secret(prompt: str) -> str:
    """A secret from the terminal or stdin: other users can see a command line.

    Raises:
        NoSecretError: stdin is empty.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True))
    value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise NoSecretError("Write the secret's value to stdin, or run this on a terminal.")
    return value
