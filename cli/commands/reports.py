"""`perdure report` and `perdure reports`: an execution's report, and all stored ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.arguments.references import ExecutionId, open_client
from cli.arguments.values import ArgumentError
from cli.command_groups.resources import CommandGroup, TableView, option
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client

FormatName = Literal["html", "pdf", "json", "markdown"]
SUFFIXES: dict[str, FormatName] = {
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
}
NOT_FOUND = 404

Format = Annotated[
    FormatName | None,
    typer.Option("--format", "-f", help="(default: by the file's name; markdown without a file)"),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")
]

GROUP = CommandGroup("reports", "Stored reports.")
GROUP.add_list(
    "list_reports",
    "List reports, newest first.",
    TableView(
        "created: created_at, format, id, title",
        nothing="No reports yet. A task with generate_report makes one each time it runs, and "
        "`perdure report ID` makes one of any run that has ended.",
    ),
    options={"task_id": option("Reports of this task.")},
    limit=20,
)


def report(
    context: typer.Context,
    identifier: ExecutionId,
    report_format: Format = None,
    output: Output = None,
) -> None:
    """Show the report of an execution, or save it as a file. ID may be a report's, too.

    If an execution has ended without a report, it is created.
    """
    name = choose_format(report_format, output)
    with open_client(context) as client:
        content = _read_report(client, identifier, name)
    write_content(content, output)


def write_content(content: bytes, output: Path | None) -> None:
    """Write a file, or print its content."""
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise ArgumentError(f"{output} can't be written: {error.strerror}.") from error
    show.err.print(f"written to {output}")


def choose_format(given: FormatName | None, output: Path | None) -> FormatName:
    """The format that was given, or else that of the file's name."""
    name = given or _format_of(output)
    if output is None and name == "pdf" and sys.stdout.isatty():
        raise ArgumentError("A terminal can't show a PDF; name a file with -o.")
    return name


def _format_of(output: Path | None) -> FormatName:
    if output is None:
        return "markdown"
    if output.suffix.lower() not in SUFFIXES:
        raise ArgumentError(
            f"{output.name} has no known format; add --format html, pdf, json or markdown."
        )
    return SUFFIXES[output.suffix.lower()]


def _read_report(client: "Client", identifier: str, name: FormatName) -> bytes:
    """The newest report of the execution with this id, else the report with this id.

    An execution that has ended without a report gets one now.
    """
    from cli.connection.client import RefusedError

    try:
        return client.read_content("get_execution_report", execution_id=identifier, format=name)
    except RefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
    try:
        client.call("create_execution_report", {}, execution_id=identifier)
        return client.read_content("get_execution_report", execution_id=identifier, format=name)
    except RefusedError as refusal:
        if refusal.status != NOT_FOUND:
            raise
        try:
            return client.read_content("download_report", report_id=identifier, format=name)
        except RefusedError:
            raise refusal from None
