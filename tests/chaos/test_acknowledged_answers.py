"""An answer that the gateway has acknowledged survives its kill -9 (`tasks/update` of MCP)."""

import asyncio
import signal
from typing import Any

import httpx2
import pytest

from api.mcp.tasks_extension import EXTENSION
from tests.api.mcp.work import DONE, QUESTION, task_of
from tests.chaos.stack import Stack
from tests.waiting import eventually

ROUNDS, EXECUTIONS = 5, 4
"""Kills of the gateway, and the answers that are under way at each."""

REVISION = "2026-07-28"
PREFIX = "io.modelcontextprotocol"
META = {
    f"{PREFIX}/protocolVersion": REVISION,
    f"{PREFIX}/clientInfo": {"name": "plain", "version": "1"},
    f"{PREFIX}/clientCapabilities": {"elicitation": {"form": {}}, "extensions": {EXTENSION: {}}},
}


async def send(stack: Stack, http: httpx2.AsyncClient, method: str, **params: Any) -> Any:
    """The result of one request of the extension, which the gateway has answered whole."""
    facts = stack.up.facts()
    headers = {
        "Authorization": f"Bearer {facts['token']}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": REVISION,
        "Mcp-Method": method,
        "Mcp-Name": params["taskId"],
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    answer = await http.post(f"{facts['api_url']}/mcp", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()["result"]


async def find_question(stack: Stack, http: httpx2.AsyncClient, execution_id: str) -> str:
    """The key of the question that the execution asks."""

    async def find() -> str | None:
        task = await send(stack, http, "tasks/get", taskId=execution_id)
        return next(iter(task.get("inputRequests", {})), None)

    return await eventually(find, what="the question")


async def answer_and_kill(stack: Stack, questions: dict[str, str]) -> set[str]:
    """Answer all at once, and kill the gateway at the first acknowledgement; return those."""
    acknowledged: set[str] = set()
    pid = stack.pid("api")

    async def answer(execution_id: str, key: str) -> None:
        response = {key: {"action": "accept", "content": {"answer": "blue"}}}
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            try:
                await send(
                    stack, http, "tasks/update", taskId=execution_id, inputResponses=response
                )
            except httpx2.TransportError:
                return
        acknowledged.add(execution_id)
        if len(acknowledged) == 1:
            stack.signal("api", signal.SIGKILL)

    await asyncio.gather(*(answer(*question) for question in questions.items()))
    assert pid is not None
    await stack.wait_for_return("api", pid)
    return acknowledged


@pytest.mark.long
async def test_an_acknowledged_answer_is_not_lost(shared_stack: Stack) -> None:
    task = (await shared_stack.request("POST", "/tasks", task_of(QUESTION, DONE)))["id"]
    for _ in range(ROUNDS):
        started = [
            (await shared_stack.request("POST", f"/tasks/{task}/execute", {}))["id"]
            for _ in range(EXECUTIONS)
        ]
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            questions = {id_: await find_question(shared_stack, http, id_) for id_ in started}
        acknowledged = await answer_and_kill(shared_stack, questions)
        rows = await shared_stack.rows(
            "SELECT execution_id::text id FROM input_requests"
            " WHERE status = 'answered' AND execution_id::text = ANY($1)",
            started,
        )
        assert acknowledged
        assert acknowledged <= {row["id"] for row in rows}
        for execution_id in set(started) - acknowledged:
            await shared_stack.request("POST", f"/task-executions/{execution_id}/cancel", {})
