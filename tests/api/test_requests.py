"""What every route does with odd requests: a clear answer, never a 500."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest

from tests.api.world import SECRET, TASK, World, make_task

Client = httpx2.AsyncClient
TASKS = "/api/v1/tasks"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"name": "\xff"}', 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"name": "\\udc00x"}', 422),
        (b'{"default_variables": {"x": NaN}}', 422),
        (b'{"default_variables": {"x": 1e999}}', 422),
        (b'{"default_variables": {"x": ' + b"9" * 5000 + b"}}", 422),
        (b'{"default_variables": {"x": ' + b"[" * 400 + b"]" * 400 + b"}}", 422),
        (b'{"default_variables": {"\\u0000": 1}}', 422),
    ],
)
async def test_bodies_that_are_none(client: Client, raw: bytes, status: int) -> None:
    response = await client.post(TASKS, content=raw)
    assert response.status_code == status, response.text
    assert response.json()["code"] == ("malformed_request" if status == 400 else "invalid_input")


@pytest.mark.parametrize(
    "extra", [b'"x": NaN', b'"x": -Infinity', b'"x": 1e999', b'"x": "\\u0000"', b'"\\u0000": 1']
)
async def test_values_that_cannot_be_stored_are_refused(client: Client, extra: bytes) -> None:
    task = await make_task(client)
    raw = b'{"variables": {' + extra + b"}}"
    response = await client.post(task["_links"]["execute"], content=raw)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][:2] == ["body", "variables"]


@pytest.mark.parametrize(
    ("raw", "loc"),
    [
        (b'{"name": "a", "name": "b", "prompt_template": "c", %s}', ["name"]),
        (
            b'{"name": "a", "prompt_template": "c", "ask_tools": ["bash"], "ask_tools": [], %s}',
            ["ask_tools"],
        ),
        (b'{"name": "a", "\\u006eame": "b", "prompt_template": "c", %s}', ["name"]),
        (
            (
                b'{"name": "a", "prompt_template": "c", %s,'
                b' "default_variables": {"x": [{"y": 1, "y": 1}]}}'
            ),
            ["default_variables", "x", 0, "y"],
        ),
    ],
)
async def test_a_doubled_key_is_refused(client: Client, raw: bytes, loc: list[str | int]) -> None:
    body = raw.replace(b"%s", b'"allowed_tools": [], "sdk_options": {}')
    response = await client.post(TASKS, content=body)
    assert response.status_code == 422, response.text
    [problem] = response.json()["errors"]
    assert (problem["loc"], problem["type"]) == (["body", *loc], "duplicate_key")


@pytest.mark.parametrize(
    "path",
    [
        f"{TASKS}?q=%00",
        f"{TASKS}?q=%ff",
        f"{TASKS}?q=%ED%A0%80",
        f"{TASKS}/%00",
        f"{TASKS}?cursor=%00",
        f"{TASKS}?cursor=nonsense",
        f"{TASKS}?cursor=AAAA",
        f"{TASKS}?page=0",
        f"{TASKS}?page=99999999999999999999999",
        f"{TASKS}?page_size=101",
        f"{TASKS}/not-an-id",
        "/api/v1/task-executions?status=sleeping",
        "/api/v1/input-requests?kind=odd",
    ],
)
async def test_addresses_that_make_no_sense(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 422, response.text
    assert response.json()["code"] == "invalid_input"


async def test_a_body_over_the_limit(client: Client) -> None:
    too_long = {**TASK, "prompt_template": "x" * (7 * 1024 * 1024)}
    response = await client.post(TASKS, json=too_long)
    assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")


async def test_a_body_over_the_limit_in_chunks(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield b" " * (1024 * 1024)

    response = await client.post(TASKS, content=chunks())
    assert response.status_code == 413


async def test_unknown_addresses_and_methods(client: Client) -> None:
    response = await client.get("/api/v1/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    response = await client.put(TASKS)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"
    response = await client.options("/api/v1/agents/import")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("written", ["1.26e-278", "1e3", "1700000000", "-5", "1_000"])
async def test_a_number_is_not_a_time(client: Client, written: str) -> None:
    response = await client.get("/api/v1/audit-logs", params={"from": written})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")


async def test_request_ids_are_kept_when_sane(client: Client) -> None:
    response = await client.get(TASKS, headers={"X-Request-ID": "abc-1"})
    assert response.headers["x-request-id"] == "abc-1"
    response = await client.get(TASKS, headers={"X-Request-ID": "a b"})
    assert response.headers["x-request-id"] != "a b"
    assert len(response.headers["x-request-id"]) == 36


def token(claims: dict[str, Any], key: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm)


FUTURE = 4_000_000_000


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Basic dTpw",
        "Bearer nonsense",
        "Bearer a.b.c",
        f"Bearer {token({'sub': 'x'})}",
        f"Bearer {token({'exp': FUTURE})}",
        f"Bearer {token({'sub': 'x', 'exp': 1})}",
        f"Bearer {token({'sub': '', 'exp': FUTURE})}",
        f"Bearer {token({'sub': 'a' * 256, 'exp': FUTURE})}",
        f"Bearer {token({'sub': 'a' + chr(0), 'exp': FUTURE})}",
        f"Bearer {token({'sub': 'x', 'exp': FUTURE}, key='another secret that is long enough')}",
        f"Bearer {token({'sub': 'x', 'exp': FUTURE}, key='', algorithm='none')}",
        f"Bearer {token({'sub': 'x', 'exp': FUTURE}, key=SECRET * 2, algorithm='HS512')}",
    ],
)
async def test_bad_credentials(world: World, header: str | None) -> None:
    async with httpx2.AsyncClient(base_url=world.url) as client:
        headers = {"Authorization": header} if header is not None else {}
        response = await client.get(TASKS, headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_new_user_is_made_once(world: World) -> None:
    async with world.client("newcomer") as client:
        answers = await asyncio.gather(*(client.get(TASKS) for _ in range(10)))
        assert {a.status_code for a in answers} == {200}
        tasks = [await make_task(client), await make_task(client)]
    assert tasks[0]["user_id"] == tasks[1]["user_id"]


async def test_no_body_is_read_without_credentials(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.url) as client:
        response = await client.post(TASKS, content=b"{")
    assert response.status_code == 401


async def test_the_description_names_bodies_errors_and_security(client: Client) -> None:
    response = await client.get("/openapi.json")
    document = response.json()
    assert document["openapi"].startswith("3.1")
    execute = document["paths"]["/api/v1/tasks/{task_id}/execute"]["post"]
    schema = execute["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ExecuteBody"}
    assert "priority" in document["components"]["schemas"]["ExecuteBody"]["properties"]
    assert execute["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/health/live"]["get"]
    assert "`idempotency_key_reused`" in document["info"]["description"]
    assert _dangling(document, document) == set()
    assert (await client.get("/docs")).status_code == 200


def _dangling(document: dict[str, Any], node: Any) -> set[str]:
    if isinstance(node, dict):
        found = set().union(*(_dangling(document, value) for value in node.values()))
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix("#/components/schemas/")
            found |= set() if name in document["components"]["schemas"] else {reference}
        return found
    if isinstance(node, list):
        return set().union(*(_dangling(document, value) for value in node))
    return set()
