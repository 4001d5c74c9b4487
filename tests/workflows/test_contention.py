"""Many concurrent requests in a few sessions cause no deadlock between transactions."""

import asyncio
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import text as sql

from domain.executions.states import ExecutionStatus
from tests.api.world import World
from tests.engine.driver import script
from tests.workflows.system import System

EXECUTIONS = "/api/v1/task-executions"
SESSIONS = "/api/v1/sessions"

ROUNDS = 5
AT_ONCE = 12


class Storm:
    """Random requests, by a fixed seed, in a few sessions of one user."""

    def __init__(self, client: httpx2.AsyncClient, sessions: list[str]) -> None:
        self._client = client
        self._sessions = sessions
        self._chance = random.Random(7)  # noqa: S311 - a fixed order, no secret
        self.ids: list[str] = []

    async def send_round(self) -> None:
        """Send one round of requests to the sessions and to the executions of earlier rounds."""
        requests = [self._request() for _ in range(AT_ONCE)]
        answers = await asyncio.gather(*(self._client.post(p, json=body) for p, body in requests))
        for response in answers:
            assert response.status_code in (201, 202, 409, 422), response.text
            if response.is_success:
                self.ids.append(response.json()["id"])
        self.ids = list(dict.fromkeys(self.ids))

    def _request(self) -> tuple[str, dict[str, Any]]:
        text = script({"text": "x", "delay_ms": self._chance.choice([0, 0, 100])})
        session_id = self._chance.choice(self._sessions)
        known = self._chance.choices(self.ids[-AT_ONCE:], k=2) if self.ids else ()
        start = {"prompt": text, "session_id": session_id, "prerequisites": known}
        requests: list[tuple[str, dict[str, Any]]] = [
            (EXECUTIONS, start),
            (EXECUTIONS, {**start, "prerequisites": known[:1]}),
            (f"{SESSIONS}/{session_id}/messages", {"content": text}),
            (f"{SESSIONS}/{session_id}/tasks", {"agent_id": "generic", "input": text}),
        ]
        if known:
            path = f"{EXECUTIONS}/{known[0]}"
            requests += [
                (f"{path}/messages", {"content": text}),
                (f"{path}/fork", {"at_turn": 0, "prompt": text}),
                (f"{path}/cancel", {"reason": "a storm"}),
            ]
        return self._chance.choice(requests)


async def set_quota(system: System, world: World) -> None:
    """Set a quota that is never reached, so that every start counts the executions."""
    async with system.engine.database.transaction() as session:
        await session.execute(
            sql("UPDATE users SET max_concurrent_executions = 100000 WHERE id = :id"),
            {"id": system.engine.user_id},
        )
    world.gateway.services.quotas.forget(system.engine.user_id)


async def test_no_deadlock(system: System, gateway_world: World, servers_directory: Path) -> None:
    log = servers_directory / "postgres.log"
    before = log.read_text().count("deadlock detected")
    await set_quota(system, gateway_world)
    made = [await system.client.post(SESSIONS, json={}) for _ in range(3)]
    storm = Storm(system.client, [response.json()["id"] for response in made])
    for _ in range(ROUNDS):
        await storm.send_round()
    for execution_id in storm.ids:
        await system.engine.run(UUID(execution_id)).wait_until(
            lambda row: ExecutionStatus(row.status).is_terminal, within=120
        )
    assert log.read_text().count("deadlock detected") == before
