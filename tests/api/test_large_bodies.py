"""Large bodies and large lists: what one user sends and reads must not stop the others."""

import asyncio
import json
import threading
from typing import Any

import httpx2
import pytest

from api.http import bodies
from api.http.bodies import MOST_VALUES, read_model
from api.http.large_bodies import LARGE_BYTES, LargeBodies, end_turn_after
from domain.ids import new_id
from persistence.db.paging import PAGE_BYTES
from tests.api.world import TASK, World, execute, make_task

Client = httpx2.AsyncClient
TASKS = "/api/v1/tasks"


def with_values(count: int) -> bytes:
    body = {**TASK, "name": f"values {new_id()}", "default_variables": {"a": [{}] * count}}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "body",
    [
        with_values(MOST_VALUES),
        b"[" * (MOST_VALUES + 1),
        b'{"a":' * (MOST_VALUES + 1),
        b"[" + b'"",' * MOST_VALUES * 3,
        b"[" + b'"\\"",' * MOST_VALUES * 3,
        b"[" + b'"\\\\",' * (MOST_VALUES + 1),
    ],
    ids=["objects", "nested", "nested objects", "strings", "quotes", "backslashes"],
)
async def test_a_body_with_too_many_values_is_refused(client: Client, body: bytes) -> None:
    answer = await client.post(TASKS, content=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_ordinary_large_bodies_pass(client: Client) -> None:
    texts = ['say "a", [b], {c}, \\ ' * 40_000, "{}[],," * 100_000]
    for text in texts:
        task = await make_task(client, prompt_template=text)
        assert (await client.get(task["_links"]["self"])).json()["prompt_template"] == text
    answer = await client.post(TASKS, content=with_values(MOST_VALUES // 4))
    assert answer.status_code == 201


async def test_large_bodies_are_parsed_in_a_thread(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop handles other requests meanwhile."""
    threads = []

    def parse(model: type[Any], raw: bytes, **options: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return read_model(model, raw, **options)

    monkeypatch.setattr(bodies, "read_model", parse)
    await make_task(client)
    await make_task(client, prompt_template="a" * LARGE_BYTES)
    assert threads == [True, False]


async def test_the_large_bodies_of_a_user_take_turns() -> None:
    """Others have turns of their own; the next turn begins after a pause."""
    large, user_id, began = LargeBodies(), new_id(), asyncio.get_running_loop().time()
    lock = await large.wait(user_id)
    waiting = asyncio.create_task(large.wait(user_id))
    await large.wait(new_id())
    assert not waiting.done()
    end_turn_after(lock, began)()
    assert lock.locked()
    assert await waiting is lock


async def test_a_refused_body_ends_its_turn(client: Client) -> None:
    large = json.dumps({"prompt": "x" * LARGE_BYTES, "unknown": 1})
    answers = [await client.post("/api/v1/task-executions", content=large) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {422}


async def read_all(client: Client, path: str) -> tuple[list[dict[str, Any]], list[int]]:
    """All items of a list by its links, and the bytes of each page."""
    items: list[dict[str, Any]] = []
    sizes = []
    while path:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        sizes.append(len(answer.content))
        path = page["_links"].get("next", "")
        assert bool(path) == (page["next_cursor"] is not None)
    return items, sizes


async def test_a_page_of_tasks_has_a_limited_size(world: World) -> None:
    text = "w" * (PAGE_BYTES // 2 - 10_000)
    async with world.client("author") as client:
        made = [await make_task(client, prompt_template=text) for _ in range(5)]
        small = [await make_task(client) for _ in range(3)]
        items, sizes = await read_all(client, f"{TASKS}?page_size=100")
    assert [i["id"] for i in items] == [t["id"] for t in reversed([*made, *small])]
    assert {i["prompt_template"] for i in items} == {text, TASK["prompt_template"]}
    assert len(sizes) == 2
    assert max(sizes) < 2 * PAGE_BYTES


async def test_a_page_of_executions_and_versions_has_a_limited_size(world: World) -> None:
    async with world.client("runner") as client:
        task = await make_task(client)
        variables = {"name": "w" * (PAGE_BYTES // 2 + 10_000)}
        made = [await execute(client, task, variables=variables) for _ in range(5)]
        items, sizes = await read_all(client, "/api/v1/task-executions?page_size=100")
        assert [i["id"] for i in items] == [e["id"] for e in reversed(made)]
        assert len(sizes) == 3
        for number in range(3):
            text = f"{number}" * (PAGE_BYTES // 2 + 10_000)
            await client.patch(task["_links"]["self"], json={"prompt_template": text})
        items, sizes = await read_all(client, f"{task['_links']['self']}/versions")
        assert [i["version"] for i in items] == [4, 3, 2, 1]
        assert len(sizes) == 2
