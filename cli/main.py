"""The `perdure` command: its options and its commands. Nothing here takes long to import."""

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from cli.command_groups.lazy import Lazy, LazyGroup, make_app
from cli.connection.endpoint import Given
from cli.exits import exit_with


class Commands(LazyGroup):
    """All commands, in the sections of `perdure --help`."""

    sections: ClassVar[Mapping[str, Mapping[str, Lazy]]] = {
        "Run tasks": {
            "run": Lazy("run", "run", "Execute a task, and wait for its result."),
            "watch": Lazy("run", "watch", "Follow an execution: turns, tools, subtasks, cost."),
            "say": Lazy("run", "say", "Send a message to an execution, and wait for the answer."),
            "report": Lazy("reports", "report", "Show or save the report of any execution."),
            "executions": Lazy(
                "executions",
                "GROUP",
                "Runs of tasks: list, get (cost, why it failed), cancel, retry, files.",
            ),
            "inbox": Lazy(
                "inbox", "GROUP", "Requests that wait for people: list, approve, deny, answer."
            ),
            "plans": Lazy("plans", "GROUP", "Steps that depend on each other, and run as one."),
            "sessions": Lazy("sessions", "GROUP", "Conversations."),
            "queue": Lazy("queue", "GROUP", "Work for people and other systems."),
            "reports": Lazy("reports", "GROUP", "Stored reports."),
        },
        "Define them": {
            "tasks": Lazy(
                "tasks", "TASKS", "Reusable definitions: list, create, update, share, delete."
            ),
            "schedules": Lazy(
                "schedules", "GROUP", "Tasks that run at set times: create, pause, trigger."
            ),
            "apply": Lazy("files", "apply", "Create or update tasks and agents from files."),
            "export": Lazy("files", "export", "Write your tasks and agents to files."),
            "templates": Lazy("task_templates", "TEMPLATES", "Tasks with parameters."),
            "agents": Lazy("agents", "AGENTS", "Specialists that tasks may name."),
            "tool-groups": Lazy("agents", "TOOL_GROUPS", "Lists of tool rules for tasks."),
            "mcp-servers": Lazy("mcp_servers", "GROUP", "MCP servers that tasks name."),
            "secrets": Lazy("credentials", "SECRETS", "Values that tasks use, never shown again."),
            "memory": Lazy("memory", "GROUP", "Knowledge that outlives executions."),
            "hooks": Lazy("hooks", "HOOKS", "Secret addresses that execute a task."),
        },
        "See what happened": {
            "usage": Lazy("usage", "usage", "Executions, tokens and cost by day, task or model."),
            "audit": Lazy("audit", "GROUP", "Who changed what."),
            "notifications": Lazy(
                "notifications", "GROUP", "Messages sent by webhook, mail or Slack."
            ),
        },
        "Run Perdure": {
            "up": Lazy("operate", "up", "Run everything on this machine."),
            "down": Lazy("stack", "down", "Stop what `perdure up` runs."),
            "status": Lazy("stack", "status", "Show what runs here, and whether it is healthy."),
            "logs": Lazy("stack", "logs", "Show the logs of the components."),
            "demo": Lazy("operate", "demo", "Run one real task, crash it, and see it complete."),
            "doctor": Lazy("operate", "doctor", "Check this machine for what Perdure needs."),
            "config": Lazy("operate", "config", "Show every setting, secrets masked."),
            "worker": Lazy("operate", "worker", "Run a worker by itself."),
            "api": Lazy("operate", "api", "Run a gateway by itself."),
            "migrate": Lazy("operate", "migrate", "Migrate the database to the newest schema."),
        },
        "Access": {
            "profile": Lazy("profiles", "app", "Gateways that you use: add, use, list."),
            "me": Lazy("usage", "me", "Show your user, your role and your quotas."),
            "token": Lazy("operate", "token", "Print a token for a user of this machine's stack."),
            "api-keys": Lazy(
                "credentials", "API_KEYS", "Keys for programs: create, rotate, revoke."
            ),
            "admin": Lazy("admin", "GROUP", "What only admins do: invite users, quotas, stats."),
            "mcp": Lazy("mcp", "mcp", "Serve MCP over stdin and stdout, for Claude Code."),
            "completion": Lazy(
                "completion", "completion", "Print the completion script of bash, zsh or fish."
            ),
        },
    }


app = make_app(
    name="perdure",
    cls=Commands,
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
        str | None, typer.Option(help="The gateway. (default: PERDURE_API_URL, else a profile's)")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Your token. (default: PERDURE_TOKEN, else a profile's)")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="The profile to use; `local` is the stack on this home. (default: "
            "PERDURE_PROFILE, else the one of `perdure profile use`)"
        ),
    ] = None,
    *,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Never ask, as if there were no terminal.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback prints
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Runs tasks for Claude durably: every step on record, people in the loop."""
    context.obj = Given(api_url=api_url, token=token, profile=profile)
    if no_input and sys.stdin.isatty():
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - until the process ends


def main() -> None:
    """Run the command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of terminals that are not UTF-8
    exit_with(lambda: app(prog_name="perdure"))


if __name__ == "__main__":
    main()
