"""Results have a limited size, and say how to read what was left out."""

import json
from typing import Any

import pytest
from mcp.types import TextResourceContents

from api.mcp.registry import MOST_CHARACTERS, ToolResult
from api.mcp.results import render_result
from domain.ids import new_id
from tests.api.mcp.agents import call, connect
from tests.api.mcp.test_tools import end
from tests.api.world import World, make_task


class Found(ToolResult):
    value: Any


@pytest.mark.parametrize(
    "value",
    [
        "a" * 300_000,
        ["a" * 1_000] * 1_000,
        [[{"a": "b"}] * 300] * 300,
        {f"name {number}": "value" for number in range(20_000)},
        {"deep": {"text": "\u001b" * 50_000}},
    ],
    ids=["text", "texts", "nested lists", "object", "control characters"],
)
def test_a_long_result_is_shortened_and_says_so(value: Any) -> None:
    result = render_result(Found(value=value, next_step="Continue."))
    [block] = result.content
    assert block.type == "text"
    assert len(block.text) <= MOST_CHARACTERS
    assert json.loads(block.text) == result.structured_content
    assert result.structured_content is not None
    assert type(result.structured_content["value"]) is type(value)
    assert "perdure://executions/{id}" in result.structured_content["next_step"]


def test_other_results_stay_as_they_are() -> None:
    found = Found(value=["a" * 40_000, "b" * 40_000], next_step="Continue.")
    assert render_result(found).structured_content == found.model_dump()


async def test_a_long_answer_is_read_as_a_resource(world: World) -> None:
    text = "answer " * 50_000
    async with world.client("alice") as http, connect(world) as client:
        task = await make_task(http)
        started = await call(client, "execute_task", task=task["id"], wait=False)
        await end(world, started["execution_id"], text)
        read = await call(client, "get_execution", execution_id=started["execution_id"])
        assert read["result"].endswith("characters left out")
        resource = await client.read_resource(f"perdure://executions/{started['execution_id']}")
    [content] = resource.contents
    assert isinstance(content, TextResourceContents)
    assert json.loads(content.text)["result"] == text


async def test_a_file_of_control_characters_is_read_completely(world: World) -> None:
    text = "\u001b[1m" * 15_000
    async with world.client("alice") as http, connect(world) as client:
        body = {"name": f"{new_id()}.txt", "content": text}
        made = (await http.post("/api/v1/artifacts", json=body)).json()
        read = ""
        offset: int | None = 0
        while offset is not None:
            part = await call(client, "get_artifact", artifact_id=made["id"], offset=offset)
            read, offset = read + part["text"], part["next_offset"]
    assert read == text
