"""`perdure inbox`: what waits for people."""

from typing import Annotated

import typer

from cli.commands.connection import RequestId, gateway_of
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
        ("kind", "title", "about", "since", "due", "id"),
        [
            (
                r["kind"],
                r["title"],
                (r.get("tool_call") or {}).get("input", ""),
                show.when(r["created_at"]),
                show.when(r["due_at"]),
                r["id"],
            )
            for r in page["items"]
        ],
        nothing="Nothing waits for you.",
    )


@app.command("show", hidden=True)  # as the other groups call it
@app.command()
def get(context: typer.Context, request_id: RequestId, *, as_json: AsJson = False) -> None:
    """Show all that a request asks."""
    from cli import show
    from cli.answering import describe

    with gateway_of(context) as gateway:
        request = gateway.get(f"/input-requests/{request_id}")
    (show.as_json if as_json else describe)(request)


@app.command()
def answer(
    context: typer.Context,
    request_id: RequestId,
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="The answer, an option's number, or a message."),
    ] = None,
    *,
    approve: Annotated[
        bool | None,
        typer.Option("--approve/--deny", help="To a question, --deny leaves it unanswered."),
    ] = None,
    edited: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="JSON|@FILE", help="Approve with this as the tool's input."
        ),
    ] = None,
) -> None:
    """Answer a request; on a terminal you are asked for what you don't say here."""
    from cli import show
    from cli.answering import AnswerNeededError, answer_of, asked, chosen, edit_of
    from cli.following import on_a_terminal

    decision = {True: "approve", False: "deny", None: None}[approve]
    if edited is not None and approve is False:
        raise AnswerNeededError("--input approves the call as you changed it; leave --deny away.")
    with gateway_of(context) as gateway:
        request = gateway.get(f"/input-requests/{request_id}")
        if edited is not None:
            body = edit_of(edited, text)
        elif text is None and decision is None and request["status"] == "open" and on_a_terminal():
            body = asked(request)
        else:
            words = None if text is None else chosen(request.get("options") or [], text)
            body = answer_of(request, words, decision)
        gateway.post(f"/input-requests/{request_id}/answer", body)
    show.out.print("Answered; the execution goes on.")
