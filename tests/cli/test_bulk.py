"""Changes of more executions than one request reaches."""

from collections.abc import Sequence
from typing import Any, cast

from cli.connection.client import Client
from cli.executions import bulk
from cli.executions.selection import Selection

Json = dict[str, Any]


class Gateway:
    """Answers each retry with the next of these outcomes."""

    def __init__(self, outcomes: Sequence[Json]) -> None:
        self.outcomes = list(outcomes)
        self.filters: list[Json] = []

    def start(self, operation: str, body: Json) -> Json:
        assert operation == "retry_executions"
        self.filters.append(body["filter"])
        return self.outcomes.pop(0)

    def call(self, operation: str, *, execution_id: str) -> Json:
        assert (operation, execution_id) == ("get_execution", "new-1")
        return {"created_at": "2026-01-02T10:00:00Z"}


def outcome(*ids: str, has_more: bool) -> Json:
    return {"changed": len(ids), "execution_ids": ids, "skipped": [], "has_more": has_more}


def test_retries_that_fail_at_once_are_not_retried_again() -> None:
    gateway = Gateway([outcome("new-1", "new-2", has_more=True), outcome("new-3", has_more=False)])
    chosen = Selection(created_to="2026-01-02T12:00:00+01:00")
    done = bulk.retry(cast("Client", gateway), chosen, is_confirmed=True)
    assert done["changed"] == 3
    first, second = gateway.filters
    assert first["created_to"] == "2026-01-02T12:00:00+01:00"
    assert second == {**first, "created_to": "2026-01-02T10:00:00Z"}
