"""Cancels and retries many executions: selects them, asks, and repeats the request until done."""

from datetime import datetime
from functools import partial
from typing import Any

import typer

from cli.arguments.values import drop_none
from cli.connection.client import Client, Json
from cli.executions.selection import Selection
from cli.exits import Exit
from cli.terminal import show
from cli.terminal.prompts import confirm
from domain.executions.states import TERMINAL, ExecutionStatus

RETRY = "retry_executions"

UNFINISHED = [str(status) for status in ExecutionStatus if status not in TERMINAL]


def cancel(client: Client, chosen: Selection, *, reason: str | None, is_confirmed: bool) -> Json:
    """Cancel what was chosen, after a confirmation."""
    body = {**chosen.make_body(client, without_status=UNFINISHED), **drop_none(reason=reason)}
    return _change(client, "cancel_executions", "Cancel", body, is_confirmed=is_confirmed)


def retry(client: Client, chosen: Selection, *, is_confirmed: bool) -> Json:
    """Retry what was chosen, after a confirmation."""
    body = chosen.make_body(client, without_status=[ExecutionStatus.FAILED])
    return _change(client, RETRY, "Retry", body, is_confirmed=is_confirmed)


def _change(client: Client, operation: str, verb: str, body: Json, *, is_confirmed: bool) -> Json:
    """Send the request, and send it again while executions are left."""
    if "filter" in body and not is_confirmed:
        would = client.call(operation, {**body, "dry_run": True})
        number = len(would["execution_ids"])
        if not number:
            return dict(would)
        more = " or more" if would["has_more"] else ""
        confirm(f"{verb} {number}{more} executions?", is_required=True)
    total: dict[str, Any] = {"changed": 0, "execution_ids": [], "skipped": []}
    with show.err.status(f"{verb.lower()}: 0") as status:
        while True:
            outcome = client.start(operation, body)
            total["changed"] += outcome["changed"]
            total["execution_ids"] += outcome["execution_ids"]
            total["skipped"] += [one for one in outcome["skipped"] if one["code"] != "not_reached"]
            left = [one["id"] for one in outcome["skipped"] if one["code"] == "not_reached"]
            if "ids" in body and left:
                body = {**body, "ids": left}
            elif "ids" in body or not outcome["has_more"] or not outcome["changed"]:
                return total
            elif operation == RETRY:
                body = _leave_out(client, body, outcome["execution_ids"][0])
            status.update(f"{verb.lower()}: {total['changed']}")


def _leave_out(client: Client, body: Json, first_new: str) -> Json:
    """The same request without the new executions: those that failed at once match the filter."""
    times = [client.call("get_execution", execution_id=first_new)["created_at"]]
    times += [body["filter"]["created_to"]] if "created_to" in body["filter"] else []
    created_to = min(times, key=datetime.fromisoformat)
    return {**body, "filter": {**body["filter"], "created_to": created_to}}


def finish(outcome: Json, done: str, output: str) -> None:
    """Print an outcome, and exit with 2 if an execution was skipped."""
    if output == "id":
        output = "table"  # which has the ids, one on a line
    show.print_answer(outcome, output, partial(_print_outcome, done=done))
    if outcome["skipped"]:
        raise typer.Exit(Exit.USAGE)


def _print_outcome(outcome: Json, *, done: str) -> None:
    for execution_id in outcome["execution_ids"]:
        show.out.print(execution_id)
    for skipped in outcome["skipped"]:
        show.err.print_line((f"{skipped['id']}  ", "dim"), skipped["reason"])
    show.err.print(f"{outcome['changed']} {done}")
