"""`perdure mcp-servers`: servers that tasks name, their secrets never shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli import show
from cli.arguments import (
    MCP_SERVER,
    ArgumentError,
    AsJson,
    Reference,
    find_resource,
    open_client,
    refer_by_name,
)
from cli.exits import Exit
from cli.resources import CommandGroup, Json, argument, option

if TYPE_CHECKING:
    from rich.text import Text

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
ABOUT = {
    "description": option("What it is for."),
    "is_public": option(
        "Whether all may name it; admins only.", "--public/--private", kind=bool | None
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
    "name, shared: is_public?, health, checked: health.checked_at, id, where",
    nothing="No MCP servers. `perdure mcp-servers create NAME --url URL` adds one.",
    pages="all",
    computed={
        "health": lambda server: _format_health(server["health"]),
        "where": lambda server: server["url"] or " ".join([server["command"], *server["args"]]),
    },
)
GROUP.add_show("Show a server; secrets in its headers and variables are masked.")


def _make_server(given: Json, _: Json) -> Json:
    return {**given, **{name: _read_values(given.get(name)) for name in ("headers", "env")}}


def _print_made(server: Json) -> None:
    reference = f'{{"{server["name"]}": {{"ref": "{server["name"]}"}}}}'
    show.out.print(f"Stored. In a task's sdk_options: mcp_servers: {reference}")


GROUP.add_action(
    "create",
    "create_mcp_server",
    "Store a server by its address, or by the command that starts it.",
    _print_made,
    of=Reference(),
    options={"name": argument("NAME", "What tasks name it by."), **FIELDS, **ABOUT},
    make_body=_make_server,
    has_json=True,
)


def _make_update(given: Json, server: Json) -> Json:
    dropped = given.pop("drop", ())
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
        "drop": option("A header or variable to remove.", kind=list[str] | None, metavar="NAME"),
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
def check_health(context: typer.Context, server: ServerName, *, as_json: AsJson = False) -> None:
    """Connect to a server; exit with 1 if it is unhealthy, and print why."""
    with open_client(context) as client:
        found = find_resource(client, server, kind=MCP_SERVER)
        health = client.call("check_mcp_server", server_id=found["id"])
    if as_json:
        show.print_json(health)
    else:
        show.out.print(_format_health(health))
        show.print_fields({name: value for name, value in health.items() if name != "status"})
    raise typer.Exit(Exit.DONE if health["status"] == "healthy" else Exit.FAILED)


def _read_values(assignments: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` and `NAME` as a mapping; the latter's value is asked for."""
    from cli.answering import read_secret
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
