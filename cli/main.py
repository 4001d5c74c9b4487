"""The `perdure` command: what there is to say, and nothing that takes long to import."""

from typing import Annotated

import typer

from cli.commands import (
    admin,
    agents,
    api_keys,
    audit,
    demonstrate,
    executions,
    files,
    hooks,
    inbox,
    inspect,
    mcp_servers,
    notifications,
    operate,
    records,
    reports,
    run,
    schedules,
    secrets,
    sessions,
    steering,
    tasks,
    templates,
    tool_groups,
    usage,
)
from cli.commands.connection import Given
from cli.exits import leave_after

app = typer.Typer(
    name="perdure",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
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
        str | None, typer.Option(help="Who you are. (default: PERDURE_TOKEN, else this home's)")
    ] = None,
    version: Annotated[  # noqa: ARG001, FBT002 - its callback speaks; typer makes flags of it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Runs tasks for Claude durably: every step on record, people in the loop."""
    context.obj = Given(api_url=api_url, token=token)


for commands in (operate, demonstrate, run, files):
    commands.add_to(app)
for commands in (tasks, executions, schedules, sessions, inbox, secrets, notifications, api_keys):
    app.add_typer(commands.app)
for commands in (hooks, templates, agents, tool_groups, mcp_servers, audit, admin):
    app.add_typer(commands.app)
usage.add_to(app)
inspect.add_to(app)
records.add_to(executions.app)
steering.add_to(executions.app)
reports.add_to(app)

PANELS = {
    "Run tasks": "run watch say executions inbox sessions report reports",
    "Define them": "tasks apply export templates agents tool-groups mcp-servers secrets "
    "schedules hooks",
    "See what happened": "usage audit notifications",
    "Run Perdure": "up demo doctor config worker api migrate me token api-keys admin",
}
"""The sections of `perdure --help`; a command that stands in none is an error at the start."""


def _sort_into_panels() -> None:
    panels: dict[str | None, str] = {
        name: panel for panel, names in PANELS.items() for name in names.split()
    }
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        command.rich_help_panel = panels[name]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.rich_help_panel = panels[group.typer_instance.info.name]


_sort_into_panels()


def main() -> None:
    """Run the command and leave with its exit code."""
    leave_after(lambda: app(prog_name="perdure"))


if __name__ == "__main__":
    main()
