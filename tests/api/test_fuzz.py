"""Whatever is sent, the answer is one of ours: no 500, and problems are problems."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.world import TASK, World, ask, execute, make_task

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FIELDS = {
    "/api/v1/tasks": [*TASK, "schedule_cron", "schedule_timezone", "variables_schema", "tags"],
    "execute": ["variables", "priority", "trigger_metadata", "deadline_at", "max_budget_usd"],
    "answer": ["decision", "values", "message", "input", "input_sha256"],
}


@pytest.mark.parametrize("route", FIELDS)
async def test_no_body_breaks_a_route(world: World, route: str) -> None:
    bodies: list[dict[str, Any]] = []

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.dictionaries(st.sampled_from(FIELDS[route]), json_values))
    def collect(body: dict[str, Any]) -> None:
        bodies.append(body)

    collect()
    async with world.client("fuzzer") as client:
        task = await make_task(client)
        request = await ask(world, await execute(client, task))
        paths = {
            "/api/v1/tasks": "/api/v1/tasks",
            "execute": task["_links"]["execute"],
            "answer": f"/api/v1/input-requests/{request}/answer",
        }
        for body in bodies:
            complete = {**TASK, **body} if route == "/api/v1/tasks" else body
            response = await client.post(paths[route], content=json.dumps(complete).encode())
            _is_ours(response)


@pytest.mark.parametrize("where", ["query", "path", "header"])
async def test_no_address_breaks_a_route(world: World, where: str) -> None:
    texts: list[bytes] = []

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=8))
    def collect(raw: bytes) -> None:
        texts.append(raw)

    collect()
    async with world.client("fuzzer") as client:
        for raw in texts:
            quoted = "".join(f"%{byte:02x}" for byte in raw)
            if where == "query":
                response = await client.get(f"/api/v1/tasks?q={quoted}&cursor={quoted}")
            elif where == "path":
                response = await client.get(f"/api/v1/task-executions/{quoted}/events")
            else:
                text = quoted.encode()
                headers = {b"Idempotency-Key": text, b"If-Match": text, b"Last-Event-ID": text}
                response = await client.post("/api/v1/tasks", content=b"{}", headers=headers)
            _is_ours(response)


def _is_ours(response: httpx2.Response) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"]
