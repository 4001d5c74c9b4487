"""`perdure mcp-servers`: servers that tasks name, their secrets never shown."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import (
    MCP_SERVER,
    Reference,
    find_resource,
    open_client,
    refer_by_name,
)
from cli.arguments.values import ArgumentError
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
from cli.exits import Exit
from cli.terminal import show

if TYPE_CHECKING:
    from rich.text import Text

    from cli.mcp.files import ListedServer
    from cli.mcp.importing import ImportPlan, PlannedServer

ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="A server's name or id.")]
GROUP = CommandGroup(
    "mcp-servers", "MCP servers that tasks name.", refer_by_name(MCP_SERVER, ServerName)
)

FIELDS = {
    "url": option("Its address."),
    "command": option("The command that starts it, in place of a URL; admins only."),
    "args": option("An argument of the command. May be repeated.", "--arg", kind=list[str] | None),
    "headers": option(
        "As Authorization='Bearer secret://NAME'; without a value it is asked for.",
        "--header",
        kind=list[str] | None,
        metavar="NAME[=VALUE]",
    ),
    "env": option(
        "A variable of the command, likewise.", kind=list[str] | None, metavar="NAME[=VALUE]"
    ),
}
AUTH = {
    "client_id": option("Get access tokens as this client of an authorization server."),
    "client_secret": option("The client's secret.", metavar="secret://NAME"),
    "private_key": option("In place of a secret: its private key.", metavar="secret://NAME"),
    "algorithm": option("Of signatures with the private key. (default: RS256)"),
    "issuer": option("The authorization server. (default: the one that the server names)"),
    "scope": option("What tokens are for. (default: what the server asks for)"),
}
ABOUT = {
    "description": option("What it is for."),
    "is_public": option(
        "Whether all may name it; admins only.", "--public/--private", kind=bool | None
    ),
    "is_trusted": option(
        "Whether the annotations of its tools count; admins only.",
        "--trusted/--untrusted",
        kind=bool | None,
    ),
}


def _format_health(health: Json | None) -> "Text":
    from rich.text import Text

    if health is None:
        return Text("not checked", "dim")
    return Text(health["status"], "green" if health["status"] == "healthy" else "red")


GROUP.add_list(
    "list_mcp_servers",
    "List your servers and those that all may name, newest first.",
    TableView(
        "name, shared: is_public?, health, checked: health.checked_at, id, where",
        nothing="No MCP servers. `perdure mcp-servers create NAME --url URL` adds one.",
        computed={
            "health": lambda server: _format_health(server["health"]),
            "where": lambda server: server["url"] or " ".join([server["command"], *server["args"]]),
        },
    ),
    pages="all",
)
GROUP.add_show("Show a server; secrets in its headers and variables are masked.")


def _make_server(given: Json, _: Json) -> Json:
    made = _take_auth(given)
    made |= {name: _read_values(given.get(name)) for name in ("headers", "env")}
    return {**given, **made}


def _take_auth(given: Json) -> Json:
    """Take the options for access tokens; returns the field that they make."""
    taken = {name: given.pop(name) for name in AUTH if name in given}
    if not taken:
        return {}
    secret, key = taken.pop("client_secret", None), taken.pop("private_key", None)
    if "client_id" not in taken or (secret is None) == (key is None):
        raise ArgumentError("Give --client-id with either --client-secret or --private-key.")
    kind = "client_credentials" if key is None else "private_key_jwt"
    return {"auth": {"type": kind, "secret": secret or key, **taken}}


def _print_made(server: Json) -> None:
    reference = f'{{"{server["name"]}": {{"ref": "{server["name"]}"}}}}'
    show.out.print(f"Stored. In a task's sdk_options: mcp_servers: {reference}")


GROUP.add_action(
    "create",
    "create_mcp_server",
    "Store a server by its address, or by the command that starts it.",
    _print_made,
    of=Reference(),
    options={"name": argument("NAME", "What tasks name it by."), **FIELDS, **AUTH, **ABOUT},
    make_body=_make_server,
    has_json=True,
)


def _make_update(given: Json, server: Json) -> Json:
    dropped = given.pop("drop", ())
    given |= _take_auth(given) or ({"auth": None} if "auth" in dropped else {})
    for name in ("headers", "env"):
        # The gateway keeps a value whose mask is sent back.
        values = {**server[name], **_read_values(given.pop(name, None))}
        kept = {key: value for key, value in values.items() if key not in dropped}
        given |= {name: kept} if kept != server[name] else {}
    if not given:
        raise ArgumentError("There is nothing to change; see --help.")
    return given


GROUP.add_action(
    "update",
    "update_mcp_server",
    "Change what is given; other headers and variables stay as they are.",
    show.print_fields,
    options={
        "name": option("Another name."),
        **FIELDS,
        **AUTH,
        "drop": option(
            "A header or variable to remove, or `auth`.", kind=list[str] | None, metavar="NAME"
        ),
        **ABOUT,
    },
    make_body=_make_update,
    has_json=True,
)
GROUP.add_action(
    "delete",
    "delete_mcp_server",
    "Delete a server; tasks that name it can't be changed until they name another.",
    "Deleted: {name}",
)


@GROUP.app.command("health-check")
@with_output
def check_health(context: typer.Context, server: ServerName, *, output: str) -> None:
    """Connect to a server; exit with 1 if it is unhealthy, and print why."""
    with open_client(context) as client:
        found = find_resource(client, server, kind=MCP_SERVER)
        health = client.call("check_mcp_server", server_id=found["id"])
    show.print_answer(health, output, _print_health)
    raise typer.Exit(Exit.DONE if health["status"] == "healthy" else Exit.FAILED)


def _print_health(health: Json) -> None:
    show.out.print(_format_health(health))
    show.print_fields({name: value for name, value in health.items() if name != "status"})


ServerFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="`.mcp.json`, `mcp.json`, `claude_desktop_config.json` …, or - for stdin.",
        exists=True,
        allow_dash=True,
    ),
]
Only = Annotated[list[str] | None, typer.Option(help="A server of the file. May be repeated.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Leave out servers whose names you have already.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace your servers that have these names.")
]
StoreSecrets = Annotated[
    bool, typer.Option("--secrets", help="Store the values of variables as secrets.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Store without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


@GROUP.app.command("import")
@with_output
def import_servers(
    context: typer.Context,
    file: ServerFile,
    *,
    only: Only = None,
    keep: Keep = False,
    replace: Replace = False,
    secrets: StoreSecrets = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    output: str,
) -> None:
    """Store the servers of another program's file (`mcpServers`, or `servers` of VS Code).

    A variable in a header or in `env`, such as ${TOKEN} or ${TOKEN:-default}, becomes a secret that
    only that server's host may receive. Its value is read from your environment, or asked for.
    Shows everything first; if one server is refused, nothing is stored. Exit codes: 0 done, 2
    something is wrong or was refused, 3 the gateway did not answer.
    """
    from cli.mcp.importing import ImportPlanner, rehearse, store

    if keep and replace:
        raise ArgumentError("Give --keep or --replace, not both.")
    chosen = _choose_servers(file, only)
    on_existing = "keep" if keep else "replace" if replace else "refuse"
    with open_client(context) as client:
        plan = ImportPlanner(client, os.environ, _ask_value, on_existing=on_existing).plan(chosen)
        rehearse(client, plan)
        is_table = output in {"table", "wide"}
        if is_table:
            _print_plan(plan)
        else:
            show.print_answer(_describe_plan(plan), output, show.print_fields)
        if plan.has_problems:
            raise ArgumentError("Nothing is stored; correct the file, or choose with --only.")
        if not dry_run:
            _require_consent(plan, yes=yes, secrets=secrets)
            for sentence in store(client, plan):
                (show.out if is_table else show.err).print(sentence)


def _choose_servers(file: Path, only: Sequence[str] | None) -> "Sequence[ListedServer]":
    """The servers of the file, or those with these names."""
    from cli.mcp.files import read_servers

    listed = read_servers(file)
    if only and (missing := set(only) - {name for s in listed for name in (s.name, s.label)}):
        raise ArgumentError(f"{file} has no server {', '.join(sorted(missing))}.")
    return [s for s in listed if not only or {s.name, s.label} & set(only)]


def _ask_value(variable: str) -> str | None:
    """The value of a variable, from the person at this terminal; None if there is none."""
    from cli.terminal.prompts import read_secret

    return read_secret(f"Value of {variable}") if sys.stdin.isatty() else None


def _require_consent(plan: "ImportPlan", *, yes: bool, secrets: bool) -> None:
    """Ask the person at the terminal; elsewhere the options must say it.

    Raises:
        ArgumentError: the options do not.
    """
    needed = [] if yes else ["--yes"]
    needed += ["--secrets"] if plan.secrets and not secrets else []
    if not needed or not plan.servers:
        return
    if not sys.stdin.isatty():
        names = ", ".join(secret.variable for secret in plan.secrets.values())
        what = f" The values of {names} become secrets." if "--secrets" in needed else ""
        raise ArgumentError(f"Nothing is stored. Add {' '.join(needed)} to store it.{what}")
    typer.confirm("Store this?", abort=True, err=True)


def _describe_plan(plan: "ImportPlan") -> Json:
    """The plan for programs, without values of secrets."""
    return {
        "servers": [
            {
                "name": server.listed.name,
                "name_in_file": server.listed.label,
                "change": server.change,
                "url": server.body.get("url"),
                "command": server.body.get("command"),
                "secrets": server.secrets,
                "ignored": server.listed.ignored,
                "problems": server.problems,
            }
            for server in plan.servers
        ],
        "secrets": [
            {"name": s.name, "variable": s.variable, "hosts": sorted(s.hosts)}
            | {"tools": sorted(s.tools)}
            for s in plan.secrets.values()
        ],
    }


def _print_plan(plan: "ImportPlan") -> None:
    for server in plan.servers:
        _print_planned(server)
    for secret in plan.secrets.values():
        where = ", ".join(sorted(secret.hosts | secret.tools))
        show.out.print(f"secret   {secret.name} from {secret.variable}, only for {where}")
    if not plan.servers:
        show.out.print("Nothing to store.")


def _print_planned(server: "PlannedServer") -> None:
    label, name = server.listed.label, server.listed.name
    is_renamed = label != name
    where = server.body.get("url") or server.body.get("command") or ""
    show.out.print_line(
        (server.change, "red" if server.problems else "green"),
        f"  {name}{f' (in the file: {label})' if is_renamed else ''}  {where}",
    )
    for text in server.values:
        show.out.print(f"         {text}")
    for name in server.secrets:
        show.out.print(f"         uses secret://{name}")
    if server.listed.ignored:
        show.out.print_line((f"         ignored: {', '.join(server.listed.ignored)}", "dim"))
    for problem in server.problems:
        show.err.print_line(("refused", "red"), f"  {label}: {problem}")


def _read_values(assignments: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` and `NAME` as a mapping; the latter's value is asked for."""
    from cli.terminal.prompts import read_secret
    from domain.secrets import reference_in, sounds_secret

    values: dict[str, str] = {}
    for assignment in assignments or ():
        name, separator, value = assignment.partition("=")
        if separator and sounds_secret(name) and reference_in(value) is None:
            raise ArgumentError(
                f"{name} sounds secret, and others can see a command line. Store it "
                f"with `perdure secrets set` and write {name}='secret://NAME', or write {name} "
                "alone: its value is asked for, or read from stdin."
            )
        values[name] = value if separator else read_secret(f"Value of {name}")
    return values
