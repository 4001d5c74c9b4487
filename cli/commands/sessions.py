"""`perdure sessions`: conversations."""

from typing import Annotated

import typer

from cli.commands.connection import LAST, checked_id, gateway_of
from cli.commands.run import AsJson, Stay, Watch

app = typer.Typer(name="sessions", help="Conversations.", no_args_is_help=True)


def _session(context: typer.Context, given: str) -> str:
    """The id, where `last` stands for the newest conversation."""
    from cli.exits import CommandError

    if given != LAST:
        return checked_id(given, "sessions list")
    with gateway_of(context) as gateway:
        for session in gateway.items("/sessions", page_size=1):
            return str(session["id"])
    raise CommandError("There is no session yet. `perdure sessions new` begins one.")


SessionId = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, or `last`.", callback=_session)
]


@app.command("list")
def list_sessions(
    context: typer.Context,
    agent_id: Annotated[str | None, typer.Option(help="With one agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    interactive: Annotated[
        bool | None,
        typer.Option("--interactive/--of-tasks", help="Begun by a person, or by a task."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List conversations, newest first."""
    from cli import show

    chosen = None if interactive is None else str(interactive).lower()
    with gateway_of(context) as gateway:
        page = gateway.get("/sessions", is_interactive=chosen, agent_id=agent_id, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("title", "agent", "begun", "id"),
        [
            (s["title"] or s["name"], s["agent_id"], show.when(s["created_at"]), s["id"])
            for s in page["items"]
        ],
        nothing="No sessions. `perdure sessions new` begins one.",
    )


@app.command("show")
def show_session(
    context: typer.Context,
    session_id: SessionId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Of the latest messages.")] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a conversation and its latest messages, oldest first."""
    from cli import show
    from cli.live import text_of

    with gateway_of(context) as gateway:
        found = gateway.get(f"/sessions/{session_id}")
        messages = gateway.get(f"/sessions/{session_id}/messages", limit=limit)["items"]
    if as_json:
        show.as_json({**found, "messages": messages})
        return
    show.fields(found)
    for message in messages:
        show.out.print(f"[dim]{message['seq']} {message['role']}[/]")
        show.out.print(text_of(message["content"]) or "(tool calls)", markup=False)


@app.command()
def new(
    context: typer.Context,
    agent_id: Annotated[str | None, typer.Option("--agent", help="Who answers.")] = None,
    title: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    model: Annotated[str | None, typer.Option(help="Which model answers.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Begin a conversation."""
    from cli import show

    options = {} if model is None else {"model": model}
    given = {"agent_id": agent_id, "title": title, "sdk_options": options}
    body = {name: value for name, value in given.items() if value is not None}
    with gateway_of(context) as gateway:
        made = gateway.start("/sessions", body)
    if as_json:
        show.as_json(made)
    else:
        show.out.print(made["id"])


@app.command()
def say(
    context: typer.Context,
    session_id: SessionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    *,
    watch: Watch = False,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Say something in a conversation and wait for the answer. Exit codes are those of `run`."""
    from cli.following import follow, on_a_terminal

    stays = on_a_terminal() if stay is None else stay
    with gateway_of(context) as gateway:
        heard = gateway.start(f"/sessions/{session_id}/messages", {"content": text})
        raise typer.Exit(follow(gateway, heard["id"], watch=watch, as_json=as_json, stay=stays))


@app.command()
def delete(context: typer.Context, session_id: SessionId) -> None:
    """Delete a conversation; its executions stay readable."""
    from cli import show

    with gateway_of(context) as gateway:
        gateway.delete(f"/sessions/{session_id}")
    show.out.print(f"Deleted: {session_id}")
