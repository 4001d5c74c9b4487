"""`perdure report` and `perdure reports`: what came of an execution, to be read or sent on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.commands.connection import ExecutionId, gateway_of
from cli.commands.run import AsJson

if TYPE_CHECKING:
    from cli.client import Gateway

app = typer.Typer(name="reports", help="Stored reports.", no_args_is_help=True)

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


def add_to(main: typer.Typer) -> None:
    """Put these commands into the application."""
    main.command()(report)
    main.add_typer(app)


def report(
    context: typer.Context,
    identifier: ExecutionId,
    report_format: Annotated[
        FormatName | None,
        typer.Option(
            "--format", "-f", help="(default: by the file's name; markdown without a file)"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")
    ] = None,
) -> None:
    """Show the report of an execution, or save it as a file. ID may be a report's too."""
    from cli import show
    from cli.exits import CommandError

    name = report_format or _format_of(output)
    if output is None and name == "pdf" and sys.stdout.isatty():
        raise CommandError("A PDF is nothing for a terminal; name a file with -o.")
    with gateway_of(context) as gateway:
        content = _content(gateway, identifier, name)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{output} can't be written: {error.strerror}.") from error
    show.err.print(f"written to {output}", soft_wrap=True, markup=False)


def _format_of(output: Path | None) -> FormatName:
    from cli.exits import CommandError

    if output is None:
        return "markdown"
    if output.suffix.lower() not in SUFFIXES:
        raise CommandError(
            f"{output.name} says no format; add --format html, pdf, json or markdown."
        )
    return SUFFIXES[output.suffix.lower()]


def _content(gateway: "Gateway", identifier: str, name: FormatName) -> bytes:
    """Of the execution's newest report, else of the report that has this id."""
    from cli.client import RefusedError

    try:
        return gateway.content(f"/task-executions/{identifier}/report", format=name)
    except RefusedError as refused:
        if refused.status != NOT_FOUND:
            raise
        try:
            return gateway.content(f"/reports/{identifier}/download", format=name)
        except RefusedError:
            raise refused from None


@app.command("list")
def list_reports(
    context: typer.Context,
    task_id: Annotated[str | None, typer.Option(help="Of one task.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List reports, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/reports", task_id=task_id, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("created", "format", "id", "title"),
        [(show.when(r["created_at"]), r["format"], r["id"], r["title"]) for r in page["items"]],
        nothing="No reports yet. A task with generate_report makes one each time it runs.",
    )
