"""Tasks whose scripted model asks a person."""

from typing import Any

from domain.ids import new_id
from tests.api.world import World
from tests.engine.storing import Turn, script, use

Json = dict[str, Any]

QUESTION = {"tool_use": use("ask_user", question="Which colour?", options=["red", "blue"])}
APPROVAL = {"tool_use": use("bash", command="echo painted")}
DONE = {"text": "Painted."}


async def elicit(*_: Any) -> Any:
    """Make the reference client declare elicitation, for tests that answer by themselves."""
    raise AssertionError


def task_of(*turns: Turn) -> Json:
    """A task whose model follows this script, as a request creates it."""
    unique = new_id()
    return {
        "name": f"paint {unique}",
        "prompt_template": f"{unique}\n\n{script(*turns)}",
        "allowed_tools": ["ask_user", "delegate"],
        "ask_tools": ["bash"],
        "sdk_options": {},
    }


async def store_task(world: World, *turns: Turn) -> str:
    """The id of a new task of alice whose model follows this script."""
    async with world.client("alice") as client:
        response = await client.post("/api/v1/tasks", json=task_of(*turns))
    assert response.status_code == 201, response.text
    task_id: str = response.json()["id"]
    return task_id
