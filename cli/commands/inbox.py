"""`perdure inbox`: what waits for people."""

from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="inbox", help="What waits for people.", invoke_without_command=True)


@app.callback()
def inbox(context: typer.Context) -> None:
    """What waits for people; alone, it lists."""
    if context.invoked_subcommand is None:
        list_requests(context)


@app.command("list")
def list_requests(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List open requests."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/input-requests", status="open", page_size=100)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("kind", "title", "since", "due", "id"),
        [
            (r["kind"], r["title"], show.when(r.get("created_at")), show.when(r["due_at"]), r["id"])
            for r in page["items"]
        ],
        nothing="Nothing waits for you.",
    )


@app.command()
def answer(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID")],
    text: Annotated[
        str | None, typer.Argument(help="The answer, an option's number, or a message.")
    ] = None,
    *,
    approve: Annotated[bool | None, typer.Option("--approve/--deny")] = None,
) -> None:
    """Answer a request."""
    from cli import show
    from cli.answering import answer_of, chosen

    decision = {True: "approve", False: "deny", None: None}[approve]
    with gateway_of(context) as gateway:
        request = gateway.get(f"/input-requests/{request_id}")
        options = request.get("options") or []
        words = None if text is None else chosen(options, text)
        gateway.post(f"/input-requests/{request_id}/answer", answer_of(request, words, decision))
    show.out.print("Answered; the execution goes on.")
