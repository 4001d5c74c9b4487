"""The `perdure` command: what there is to say, and nothing that takes long to import."""

import os
import sys

import typer

from cli.commands import operate

app = typer.Typer(
    name="perdure",
    help="Runs tasks for Claude durably: every step on record, people in the loop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
operate.add_to(app)


def main() -> None:
    """Run the command and leave with its exit code."""
    code: int | str | None
    try:
        code = app(prog_name="perdure")
    except SystemExit as leaving:
        code = leaving.code
    _leave(code)


def _leave(code: int | str | None) -> None:
    if "temporalio" in sys.modules and isinstance(code, int | None):
        # Temporal's core has threads that may abort the process while the interpreter is being
        # taken down (temporalio/sdk-python#300): leave without taking it down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    sys.exit(code)


if __name__ == "__main__":
    main()
