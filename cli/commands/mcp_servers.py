"""`perdure mcp-servers`: servers that tasks name, their secrets never shown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson
from cli.exits import Exit

if TYPE_CHECKING:
    from rich.text import Text

    from cli.client import Json

app = typer.Typer(name="mcp-servers", help="MCP servers that tasks name.", no_args_is_help=True)
ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="A server's name or id.")]
Url = Annotated[str | None, typer.Option(help="Where it is reached.")]
Command = Annotated[str | None, typer.Option(help="What starts it, in its place; admins only.")]
Arguments = Annotated[
    list[str] | None, typer.Option("--arg", help="An argument of the command. May be repeated.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="NAME[=VALUE]",
        help="As Authorization='Bearer secret://NAME'; without a value it is asked for.",
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME[=VALUE]", help="A variable of the command, likewise."),
]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Public = Annotated[
    bool | None, typer.Option("--public/--private", help="Whether all may name it; admins only.")
]


@app.command("list")
def list_servers(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List my servers and those that all may name, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        found = list(gateway.items("/mcp-servers"))
    if as_json:
        show.as_json(found)
        return
    show.rows(
        ("name", "shared", "health", "checked", "id", "where"),
        [
            (
                server["name"],
                "yes" if server["is_public"] else "",
                _health(server["health"]),
                show.when(server["health"] and server["health"]["checked_at"]),
                server["id"],
                server["url"] or " ".join([server["command"], *server["args"]]),
            )
            for server in found
        ],
        nothing="No MCP servers. `perdure mcp-servers create NAME --url URL` keeps one.",
    )


@app.command("show")
def show_server(context: typer.Context, server: ServerName, *, as_json: AsJson = False) -> None:
    """Show a server; what is secret in its headers and variables is masked."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, server, arguments.MCP_SERVER)
    (show.as_json if as_json else show.fields)(found)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What tasks name it by.")],
    *,
    url: Url = None,
    command: Command = None,
    arg: Arguments = None,
    header: Headers = None,
    env: Variables = None,
    description: Description = None,
    public: Public = None,
    as_json: AsJson = False,
) -> None:
    """Keep a server by its address, or by the command that starts it."""
    from cli import show

    body = {"name": name, **_given(url, command, arg, description, public)}
    body |= {"headers": _values(header), "env": _values(env)}
    with gateway_of(context) as gateway:
        made = gateway.post("/mcp-servers", body)
    if as_json:
        show.as_json(made)
    else:
        reference = f'{{"{made["name"]}": {{"ref": "{made["name"]}"}}}}'
        show.out.print(f"Kept. In a task's sdk_options: mcp_servers: {reference}", markup=False)


@app.command()
def update(
    context: typer.Context,
    server: ServerName,
    *,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    url: Url = None,
    command: Command = None,
    arg: Arguments = None,
    header: Headers = None,
    env: Variables = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A header or variable to take away.")
    ] = None,
    description: Description = None,
    public: Public = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given; other headers and variables stay as they are."""
    from cli import arguments, show
    from cli.exits import CommandError

    body = _given(url, command, arg, description, public) | ({"name": name} if name else {})
    headers, variables = _values(header), _values(env)
    with gateway_of(context) as gateway:
        found = arguments.find(gateway, server, arguments.MCP_SERVER)
        for field, given in (("headers", headers), ("env", variables)):
            # Masked values that are sent back stay as they are.
            wanted = {k: v for k, v in {**found[field], **given}.items() if k not in (drop or ())}
            body |= {field: wanted} if wanted != found[field] else {}
        if not body:
            raise CommandError("There is nothing to change; see --help.")
        changed = gateway.patch(f"/mcp-servers/{found['id']}", body)
    (show.as_json if as_json else show.fields)(changed)


@app.command()
def delete(context: typer.Context, server: ServerName) -> None:
    """Forget a server; tasks that name it can't be changed until they name another."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, server, arguments.MCP_SERVER)
        gateway.delete(f"/mcp-servers/{found['id']}")
    show.out.print(f"Deleted: {found['name']}", markup=False)


@app.command("health-check")
def check_health(context: typer.Context, server: ServerName, *, as_json: AsJson = False) -> None:
    """Shake hands with a server; ends with 1 if it is unhealthy, and says why."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, server, arguments.MCP_SERVER)
        health = gateway.post(f"/mcp-servers/{found['id']}/health-check")
    if as_json:
        show.as_json(health)
    else:
        show.out.print(_health(health))
        show.fields({name: value for name, value in health.items() if name != "status"})
    raise typer.Exit(Exit.DONE if health["status"] == "healthy" else Exit.FAILED)


def _given(
    url: str | None,
    command: str | None,
    args: Sequence[str] | None,
    description: str | None,
    public: bool | None,  # noqa: FBT001 - an option's value, handed on
) -> dict[str, Any]:
    fields = {
        "url": url,
        "command": command,
        "args": list(args) if args else None,
        "description": description,
        "is_public": public,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _values(assignments: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` and `NAME` as a mapping; the latter's value is asked for."""
    from cli import answering
    from cli.exits import CommandError
    from domain.mcp_servers import reference_in, sounds_secret

    given: dict[str, str] = {}
    for assignment in assignments or ():
        name, separator, value = assignment.partition("=")
        if separator and sounds_secret(name) and reference_in(value) is None:
            raise CommandError(
                f"{name} sounds secret, and others can see what stands on a command line. Keep it "
                f"with `perdure secrets set` and write {name}='secret://NAME', or write {name} "
                "alone: its value is asked for, or read from stdin."
            )
        given[name] = value if separator else answering.secret(f"Value of {name}")
    return given


def _health(health: "Json | None") -> "Text":
    from rich.text import Text

    if health is None:
        return Text("not checked", "dim")
    return Text(health["status"], "green" if health["status"] == "healthy" else "red")
