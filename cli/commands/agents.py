"""`perdure agents`: the specialists that tasks may name."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="agents", help="Specialists that tasks may name.", no_args_is_help=True)


@app.command("list")
def list_agents(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 50,
    *,
    mine: Annotated[bool, typer.Option("--mine", help="Only my own.")] = False,
    as_json: AsJson = False,
) -> None:
    """List agents: mine, newest first, and the built-in ones."""
    from cli import show

    only = "false" if mine else None
    with gateway_of(context) as gateway:
        page = gateway.get("/agents", is_builtin=only, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("agent", "whose", "model", "description"),
        [
            (
                agent["agent_id"],
                "built in" if agent["is_builtin"] else "mine",
                agent["model"] or "",
                agent["description"],
            )
            for agent in page["items"]
        ],
        nothing="No agents of yours. `perdure agents import FILE` makes one.",
    )


@app.command("show")
def show_agent(
    context: typer.Context,
    agent_id: Annotated[str, typer.Argument(metavar="AGENT")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show an agent and what it tells the model."""
    from cli import show

    with gateway_of(context) as gateway:
        found = gateway.get(f"/agents/{agent_id}")
    (show.as_json if as_json else show.fields)(found)


@app.command("import")
def import_agents(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Markdown with front matter.", exists=True),
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change agents of mine that have these names.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make agents from the files that coding agents keep; names of tools and models are mapped."""
    from cli import show

    with gateway_of(context) as gateway:
        for file in files:
            body = {"markdown": _text(file), "replace": replace}
            made = gateway.post("/agents/import", body)
            if as_json:
                show.as_json(made)
                continue
            show.out.print(f"{made['agent_id']}  [dim]{file}[/]")
            if made["ignored"]:
                show.err.print(f"  without meaning here: {', '.join(made['ignored'])}", style="dim")


@app.command()
def delete(
    context: typer.Context,
    agent_id: Annotated[str, typer.Argument(metavar="AGENT")],
) -> None:
    """Delete an agent of mine; tasks that name it can't be executed until they are changed."""
    from cli import show

    with gateway_of(context) as gateway:
        gateway.delete(f"/agents/{agent_id}")
    show.out.print(f"Deleted: {agent_id}", markup=False)


def _text(file: Path) -> str:
    from cli.exits import CommandError

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} can't be read: {error}") from error
