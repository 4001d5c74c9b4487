"""The `perdure` command: its options and its commands. Nothing here takes long to import."""

import io
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from cli.arguments import Given
from cli.commands import (
    admin,
    agents,
    audit,
    credentials,
    executions,
    files,
    inbox,
    mcp,
    mcp_servers,
    memory,
    notifications,
    operate,
    plans,
    queue,
    reports,
    run,
    schedules,
    sessions,
    tasks,
    usage,
)
from cli.exits import exit_with
from cli.resources import CommandGroup

app = typer.Typer(
    name="perdure",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's signature
    if value:
        from importlib.metadata import version

        typer.echo(f"perdure {version('perdure')}")
        raise typer.Exit


@app.callback()
def perdure(
    context: typer.Context,
    api_url: Annotated[
        str | None, typer.Option(help="The gateway. (default: PERDURE_API_URL, else this home's)")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Your token. (default: PERDURE_TOKEN, else this home's)")
    ] = None,
    version: Annotated[  # noqa: ARG001, FBT002 - its callback prints; typer makes flags of it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Runs tasks for Claude durably: every step on record, people in the loop."""
    context.obj = Given(api_url=api_url, token=token)


PANELS: Mapping[str, tuple[CommandGroup | Callable[..., None], ...]] = {
    "Run tasks": (
        run.run,
        run.watch,
        run.say,
        executions.GROUP,
        plans.GROUP,
        inbox.GROUP,
        sessions.GROUP,
        queue.GROUP,
        reports.report,
        reports.GROUP,
    ),
    "Define them": (
        tasks.TASKS,
        files.apply,
        files.export,
        tasks.TEMPLATES,
        agents.AGENTS,
        agents.TOOL_GROUPS,
        mcp_servers.GROUP,
        credentials.SECRETS,
        memory.GROUP,
        schedules.GROUP,
        tasks.HOOKS,
    ),
    "See what happened": (usage.usage, audit.GROUP, notifications.GROUP),
    "Run Perdure": (
        operate.up,
        operate.demo,
        operate.doctor,
        operate.config,
        operate.worker,
        operate.api,
        operate.migrate,
        usage.me,
        mcp.mcp,
        operate.token,
        credentials.API_KEYS,
        admin.GROUP,
    ),
}
"""The sections of `perdure --help` with their commands."""

for panel, commands in PANELS.items():
    for command in commands:
        if isinstance(command, CommandGroup):
            app.add_typer(command.app, rich_help_panel=panel)
        else:
            app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of terminals that are not UTF-8
    exit_with(lambda: app(prog_name="perdure"))


if __name__ == "__main__":
    main()
