"""Schemas and bodies that are made to hold the gateway up, or to break it."""

import time
from typing import Any

import httpx2
import pytest

from tests.api.world import TASK, make_task

Client = httpx2.AsyncClient

TWICE = {
    "$defs": {
        **{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)},
        "d40": {},
    },
    "$ref": "#/$defs/d0",
}
NESTED: dict[str, Any] = {}
for _ in range(151):  # an odd number: nothing matches
    NESTED = {"not": NESTED}

HOSTILE: dict[str, dict[str, Any]] = {
    "backtracking": {"properties": {"name": {"pattern": "(a+)+$"}}},
    "doubling": TWICE,
    "unknown type behind a reference": {"x": {"type": 5}, "$ref": "#/x"},
    "no schema behind a reference": {"x": 5, "$ref": "#/x"},
    "deep": NESTED,
    "deep expression": {"properties": {"name": {"pattern": "(" * 20_000 + ")" * 20_000}}},
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_schema_is_refused_in_time(client: Client, schema: dict[str, Any]) -> None:
    began = time.monotonic()
    task = {**TASK, "name": str(time.time_ns()), "variables_schema": schema}
    response = await client.post("/api/v1/tasks", json=task)
    if response.status_code == 201:
        variables = {"name": "a" * 60 + "b"}
        execute = response.json()["_links"]["execute"]
        response = await client.post(execute, json={"variables": variables})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["type"] == "json_schema"
    assert time.monotonic() - began < 60


async def test_only_reported_unknown_fields_cost_time(client: Client) -> None:
    task = await make_task(client)
    body = {f"variable{n}": 1 for n in range(100_000)}
    began = time.process_time()  # of the gateway too, which is in this process
    response = await client.patch(task["_links"]["self"], json=body)
    assert response.status_code == 422
    assert len(response.json()["errors"]) == 50
    assert time.process_time() - began < 5  # 11 s and more when a name was sought for each
