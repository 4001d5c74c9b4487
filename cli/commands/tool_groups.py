"""`perdure tool-groups`: lists of tool rules that tasks name as `group:NAME`."""

from typing import Annotated, Any

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(
    name="tool-groups",
    help="Lists of tool rules that tasks name as group:NAME.",
    no_args_is_help=True,
)
GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="A tool group's name or id.")]
Description = Annotated[str | None, typer.Option(help="What it is for.")]


@app.command("list")
def list_groups(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List my tool groups, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        found = list(gateway.items("/tool-groups"))
    if as_json:
        show.as_json(found)
        return
    show.rows(
        ("in a task", "description", "id", "tools"),
        [(g["rule"], g["description"] or "", g["id"], ", ".join(g["tools"])) for g in found],
        nothing="No tool groups. `perdure tool-groups create NAME RULE…` makes one.",
    )


@app.command("show")
def show_group(context: typer.Context, group: GroupName, *, as_json: AsJson = False) -> None:
    """Show a tool group."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, group, arguments.TOOL_GROUP)
    (show.as_json if as_json else show.fields)(found)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What tasks name it by, behind `group:`.")
    ],
    rules: Annotated[
        list[str], typer.Argument(metavar="RULE...", help="Such as read_file or 'bash(git *)'.")
    ],
    description: Description = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Keep a list of tool rules under a name."""
    from cli import show

    body = {"name": name, "tools": rules, "description": description}
    with gateway_of(context) as gateway:
        made = gateway.post("/tool-groups", body)
    if as_json:
        show.as_json(made)
    else:
        show.out.print(f"Kept. Tasks name it as {made['rule']}", markup=False)


@app.command()
def update(
    context: typer.Context,
    group: GroupName,
    rules: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RULE...]", help="The whole list; the one it has, if left out."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    description: Description = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Change a tool group; tasks keep the rules they have until their lists are written again."""
    from cli import arguments, show
    from cli.exits import CommandError

    given: dict[str, Any] = {"name": name, "tools": rules, "description": description}
    body = {field: value for field, value in given.items() if value is not None}
    if not body:
        raise CommandError("Say what to change: rules, --name or --description.")
    with gateway_of(context) as gateway:
        found = arguments.find(gateway, group, arguments.TOOL_GROUP)
        changed = gateway.patch(f"/tool-groups/{found['id']}", body)
    (show.as_json if as_json else show.fields)(changed)


@app.command()
def delete(context: typer.Context, group: GroupName) -> None:
    """Delete a tool group; tasks that named it keep its rules."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, group, arguments.TOOL_GROUP)
        gateway.delete(f"/tool-groups/{found['id']}")
    show.out.print(f"Deleted: {found['name']}", markup=False)
