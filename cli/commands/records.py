"""`perdure executions messages|tool-calls|model-calls|artifacts`: what is on record of a run."""

from typing import TYPE_CHECKING

import typer

from cli.commands.connection import ExecutionId, gateway_of
from cli.commands.run import AsJson

if TYPE_CHECKING:
    from cli.client import Json


def add_to(app: typer.Typer) -> None:
    """Put these commands beside the others about executions."""
    app.command()(messages)
    app.command("tool-calls")(tool_calls)
    app.command("model-calls")(model_calls)
    app.command()(artifacts)


def messages(context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False) -> None:
    """Show the transcript."""
    from cli import show
    from cli.live import text_of

    found = _all(context, execution_id, "messages")
    if as_json:
        _print(found)
        return
    for message in sorted(found, key=lambda item: int(item["seq"])):
        show.out.print(f"[dim]{message['seq']} {message['role']}[/]")
        show.out.print(text_of(message["content"]) or "(tool calls)", markup=False)


def tool_calls(
    context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False
) -> None:
    """Show which tools were called, and how it went."""
    from cli import show

    found = _all(context, execution_id, "tool-calls")
    if as_json:
        _print(found)
        return
    show.rows(
        ("tool", "status", "input"),
        # What ran: a person may have changed what the model asked for.
        [(c["name"], c["status"], c.get("approved_input") or c.get("input")) for c in found],
        nothing="No tool was called.",
    )


def model_calls(
    context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False
) -> None:
    """Show each try of each model call: what it took, what it cost, what went wrong."""
    from cli import show

    found = _all(context, execution_id, "model-calls")
    if as_json:
        _print(found)
        return
    show.rows(
        ("turn", "try", "status", "model", "began", "first token ms", "cost", "stopped by"),
        [
            (
                call["turn"],
                call["try_number"],
                call["status"],
                call["model"],
                show.when(call["started_at"]),
                call["first_token_ms"],
                show.money(call["cost_usd"]),
                call["error_message"] or call["stop_reason"],
            )
            for call in found
        ],
        nothing="The model was not called yet.",
    )


def artifacts(
    context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False
) -> None:
    """List the files that the run kept."""
    from cli import show

    found = _all(context, execution_id, "artifacts")
    if as_json:
        _print(found)
        return
    show.rows(
        ("name", "kind", "type", "bytes", "kept", "id"),
        [
            (
                one["name"],
                one["kind"],
                one["media_type"],
                one["size_bytes"],
                show.when(one["created_at"]),
                one["id"],
            )
            for one in found
        ],
        nothing="It kept no files.",
    )


def _all(context: typer.Context, execution_id: str, what: str) -> "list[Json]":
    """All of it: half a transcript that looks whole misleads."""
    with gateway_of(context) as gateway:
        return list(gateway.items(f"/task-executions/{execution_id}/{what}"))


def _print(found: "list[Json]") -> None:
    from cli import show

    show.as_json({"items": found, "total": len(found)})
