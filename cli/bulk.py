"""Cancels and retries many executions: selects them, asks, and repeats the request until done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import typer

from cli import show
from cli.arguments import ArgumentError, drop_none, find_resource
from cli.client import Client, Json
from cli.confirming import confirm
from cli.exits import Exit
from domain.states import TERMINAL, ExecutionStatus

MOST_AT_ONCE = 1_000
"""Executions that one request can change."""

RETRY = "retry_executions"

UNFINISHED = [str(status) for status in ExecutionStatus if status not in TERMINAL]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The executions with these ids, or those that match a filter."""

    ids: Sequence[str] = ()
    matching: Json | None = None
    statuses: Sequence[str] | None = None

    @property
    def only(self) -> str | None:
        """The id, if it is one execution."""
        return self.ids[0] if len(self.ids) == 1 else None

    def body(self, *, without_status: Sequence[str]) -> Json:
        """The body of a request; `without_status` is selected where no status is given."""
        if self.matching is None:
            return {"ids": list(self.ids)}
        return {"filter": {**self.matching, "status": list(self.statuses or without_status)}}


def choose(
    client: Client,
    ids: Sequence[str] | None,
    *,
    every: bool,
    task: str | None,
    tag: str | None,
    status: str | None,
    times: tuple[str | None, str | None],
) -> Chosen:
    """The executions that a command's arguments select.

    Raises:
        ArgumentError: neither ids nor a filter is given, or both.
    """
    task_id = None if task is None else find_resource(client, task)["id"]
    matching = drop_none(task_id=task_id, tag=tag, created_from=times[0], created_to=times[1])
    is_filtered = every or status is not None or bool(matching)
    if bool(ids) == is_filtered:
        raise ArgumentError(
            "Give ids, or select executions with --all, --task, --tag, --status, --from or --to."
        )
    if ids:
        return Chosen(ids=list(dict.fromkeys(ids)))
    return Chosen(matching=matching, statuses=status.split(",") if status else None)


def cancel(client: Client, chosen: Chosen, *, reason: str | None, is_confirmed: bool) -> Json:
    """Cancel what was chosen, after a confirmation."""
    body = {**chosen.body(without_status=UNFINISHED), **drop_none(reason=reason)}
    return _change(client, "cancel_executions", "Cancel", body, is_confirmed=is_confirmed)


def retry(client: Client, chosen: Chosen, *, is_confirmed: bool) -> Json:
    """Retry what was chosen, after a confirmation."""
    body = chosen.body(without_status=[ExecutionStatus.FAILED])
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


def finish(outcome: Json, done: str, *, as_json: bool) -> None:
    """Print an outcome, and exit with 2 if an execution was skipped."""
    if as_json:
        show.print_json(outcome)
    else:
        for execution_id in outcome["execution_ids"]:
            show.out.print(execution_id)
        for skipped in outcome["skipped"]:
            show.err.print_line((f"{skipped['id']}  ", "dim"), skipped["reason"])
        show.err.print(f"{outcome['changed']} {done}")
    if outcome["skipped"]:
        raise typer.Exit(Exit.USAGE)
