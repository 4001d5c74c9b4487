"""Times at the ends of the calendar, in every place where a request may contain a time."""

from typing import Any

import httpx2
import pytest

EDGES = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
LAST = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59+14:00"]

QUERIES = [
    ("/task-executions", "created_from"),
    ("/task-executions", "created_to"),
    ("/audit-logs", "from"),
    ("/audit-logs", "to"),
    ("/usage", "from"),
    ("/usage", "to"),
    ("/reports", "created_from"),
    ("/reports", "created_to"),
]
BODIES: list[tuple[str, Any]] = [
    ("/task-executions/bulk/cancel", lambda at: {"filter": {"created_from": at}}),
    ("/task-executions/bulk/cancel", lambda at: {"filter": {"created_to": at}}),
    ("/task-executions/bulk/retry", lambda at: {"filter": {"created_from": at}}),
    ("/task-executions/bulk/retry", lambda at: {"filter": {"created_to": at}}),
    ("/task-executions", lambda at: {"prompt": "x", "deadline_at": at}),
    ("/api-keys", lambda at: {"name": "x", "expires_at": at}),
]


@pytest.mark.parametrize(("path", "name"), QUERIES)
async def test_in_queries(client: httpx2.AsyncClient, path: str, name: str) -> None:
    for at in EDGES:
        answer = await client.get(f"/api/v1{path}", params={name: at})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
        assert answer.json()["errors"][0]["loc"] == ["query", name]
    for at in LAST:
        answer = await client.get(f"/api/v1{path}", params={name: at})
        assert answer.status_code in {200, 422}, answer.text


@pytest.mark.parametrize(("path", "body"), BODIES)
async def test_in_bodies(client: httpx2.AsyncClient, path: str, body: Any) -> None:
    for at in EDGES:
        answer = await client.post(f"/api/v1{path}", json=body(at))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
    for at in LAST:
        answer = await client.post(f"/api/v1{path}", json=body(at))
        assert answer.status_code in {200, 201, 202, 422}, answer.text
