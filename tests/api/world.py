"""What tests of the gateway say often."""

import json
import ssl
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2

from api.gateway import Gateway
from cli.tokens import mint
from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow, SessionRow

SECRET = "a secret of the tests that is long enough"
TASK = {
    "name": "greet",
    "prompt_template": "Say hello to {{ name }} in {{ tongue }}.",
    "default_variables": {"tongue": "French"},
    "allowed_tools": ["read_file"],
    "sdk_options": {"model": "claude-opus-5-5", "max_budget_usd": 0.25},
}

WITHOUT_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP. A client of its own reads the certificate authorities of the system,
which takes 20 ms: a third of the time of the tests of the gateway (measured 2026-11-29)."""


class World:
    """A served gateway."""

    def __init__(self, url: str, gateway: Gateway) -> None:
        self.url = url
        self.gateway = gateway

    def client(self, user: str, role: str = "user") -> httpx2.AsyncClient:
        """A client with a token of this user."""
        token = mint(SECRET, user=user, role=role, lives=timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=60, verify=WITHOUT_AUTHORITIES
        )


async def make_task(client: httpx2.AsyncClient, **changed: Any) -> dict[str, Any]:
    """A new task with a name of its own."""
    body = {**TASK, "name": f"greet {new_id()}", **changed}
    response = await client.post("/api/v1/tasks", json=body)
    assert response.status_code == 201, response.text
    task: dict[str, Any] = response.json()
    return task


NAMED: dict[str, dict[str, Any]] = {
    "tasks": {"prompt_template": "b", "allowed_tools": [], "sdk_options": {}},
    "task-templates": {"task": {"prompt_template": "b"}},
    "tool-groups": {"tools": ["bash"]},
    "mcp-servers": {"url": "https://mcp.example.com/mcp"},
}
"""The smallest body without a name of each resource that has one, by its path."""


async def make_named(client: httpx2.AsyncClient, path: str, name: str) -> dict[str, Any]:
    """A new resource with this name."""
    response = await client.post(f"/api/v1/{path}", json={**NAMED[path], "name": name})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def execute(client: httpx2.AsyncClient, task: dict[str, Any], **body: Any) -> dict[str, Any]:
    """An execution of the task."""
    response = await client.post(task["_links"]["execute"], json=body)
    assert response.status_code == 202, response.text
    execution: dict[str, Any] = response.json()
    return execution


async def give_session(world: World, execution: dict[str, Any], status: str = "running") -> UUID:
    """Give an execution its session and a status, as its workflow does."""
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        conversation = SessionRow(user_id=row.user_id, name="Task: greet (manual)")
        session.add(conversation)
        await session.flush()
        row.session_id, row.status = conversation.id, status
        return conversation.id


async def ask(world: World, execution: dict[str, Any], **fields: Any) -> str:
    """Open an input request, as the loop does; the id of it."""
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        request = InputRequestRow(
            execution_id=row.id,
            user_id=row.user_id,
            **{
                "kind": "question",
                "title": "Which colour?",
                "status": "open",
                "on_expiry": "wait",
                **fields,
            },
        )
        session.add(request)
        await session.flush()
        return str(request.id)


APPROVAL = {
    "kind": "approval",
    "title": "Run bash?",
    "tool_name": "bash",
    "tool_input": json.dumps({"command": "git push"}),
    "input_sha256": bytes(range(32)),
    "tool_input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
        "additionalProperties": False,
    },
}
