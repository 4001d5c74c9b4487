"""Random decisions about tool calls, with kills of the worker: what ran is what was approved.

Each call writes its own text into a file of its own, so the workspace shows which calls ran.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from claude.scripted import ScriptedModelServer
from domain.errors import PerdureError
from persistence.tables.people import RememberedDecisionRow
from persistence.tables.sessions import InputRequestRow, ToolCallRow
from services.executions import holding
from tests.engine.driver import Engine, Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, worker_process
from tests.waiting import eventually

CALLS = 10
"""Tool calls of one execution; one in four repeats the call before it."""

DECISIONS = ("approve", "approve", "edit", "deny", "remember", "remember denial", "undo", "expire")
POLICY = {"due_seconds": 3, "on_expiry": "deny"}


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    """A place of the test's own: no other worker may take over."""
    home = servers_directory / f"decisions-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


@dataclass(slots=True)
class Decisions:
    """Decides about each open request once, at random, and counts the decisions."""

    engine: Engine
    chance: random.Random
    decided: dict[UUID, str] = field(default_factory=dict)

    async def decide_open(self) -> None:
        async with self.engine.database.reading() as session:
            rows = await session.scalars(
                select(InputRequestRow).where(InputRequestRow.status == "open")
            )
            new = [row for row in rows.all() if row.id not in self.decided]
        for row in new:
            await self._decide(row)
        await holding.apply_held(self.engine.services)

    async def _decide(self, row: InputRequestRow) -> None:
        chosen = self.decided[row.id] = self.chance.choice(DECISIONS)
        if chosen == "expire":
            return
        tool_input = json.loads(row.tool_input or "")
        bodies: dict[str, dict[str, Any]] = {
            "approve": {"decision": "approve"},
            "deny": {"decision": "deny"},
            "edit": {"decision": "edit", "input": {**tool_input, "content": "edited"}},
            "remember": {"decision": "approve", "remember": "execution"},
            "remember denial": {"decision": "deny", "remember": "execution"},
            "undo": {"decision": "approve", "undo_seconds": 30},
        }
        run = self.engine.run(row.execution_id)
        with contextlib.suppress(PerdureError):  # it has expired meanwhile
            await run.answer(row, **bodies[chosen])
            if chosen == "undo":
                async with self.engine.transaction() as work:
                    await holding.withdraw(work, row.id)
                await run.answer(row, decision="deny")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("executions", "kills"), [(4, 2), (100, 40)])
async def test_what_ran_is_what_was_approved(
    place: WorkerPlace, scripted_model: ScriptedModelServer, executions: int, kills: int
) -> None:
    chance = random.Random(executions)  # noqa: S311 - repeatable on purpose
    async with open_driver(place, scripted_model) as engine:
        runs = [
            await engine.start(*turns(chance), ask_tools=["write_file"], human_input_policy=POLICY)
            for _ in range(executions)
        ]
        decisions = Decisions(engine, chance)
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(kill_workers(place, scripted_model, chance, kills))
            await eventually(
                lambda: have_ended(runs, decisions), within=1500, what="the end of all executions"
            )
            await killing if killing.done() else killing.cancel()
        executed = [await check(engine, run) for run in runs]
    assert sum(executed) > executions
    print(f"{len(decisions.decided)} requests, {sum(executed)} executed calls, {kills} kills")  # noqa: T201 - for the report


def turns(chance: random.Random) -> list[dict[str, Any]]:
    """One call in each turn; some repeat the call before them."""
    made: list[dict[str, Any]] = []
    for number in range(CALLS):
        call = {"path": f"file-{number}", "content": f"text {number}"}
        repeated = made[-1] if made and chance.random() < 0.25 else None
        made.append(repeated or {"tool_use": use("write_file", **call)})
    return [*made, {"text": "Done."}]


async def have_ended(runs: list[Run], decisions: Decisions) -> bool:
    await decisions.decide_open()
    return all([(await run.row()).completed_at is not None for run in runs])


async def kill_workers(
    place: WorkerPlace, scripted: ScriptedModelServer, chance: random.Random, kills: int
) -> None:
    """Kill one worker after the other, and leave the last one running."""
    for _ in range(kills):
        async with running(place, scripted) as process:
            # This sleep waits for no condition: the time of the next kill is random.
            await asyncio.sleep(chance.uniform(0.5, 4))
            process.kill()
    async with running(place, scripted):
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(
    place: WorkerPlace, scripted: ScriptedModelServer
) -> AsyncIterator[asyncio.subprocess.Process]:
    (place.home / "ready").unlink(missing_ok=True)
    async with worker_process(place, scripted, log=place.home / "log") as process:
        yield process


async def check(engine: Engine, run: Run) -> int:
    """Each call that ran had an approval of exactly its input; return how many ran.

    A call that a kill has interrupted may have run or not, and is not run again.
    """
    of_run = InputRequestRow.execution_id == run.id
    async with engine.database.reading() as session:
        requests = {
            row.tool_call_id: row
            for row in await session.scalars(select(InputRequestRow).where(of_run))
        }
        rules = {
            row.id: row
            for row in await session.scalars(
                select(RememberedDecisionRow).where(RememberedDecisionRow.execution_id == run.id)
            )
        }
    ran = [call for call in await run.tool_calls() if call.status != "denied"]
    allowed: dict[str, set[str]] = {}
    certain = set()
    for call in ran:
        assert call.status == "succeeded" or "may have run" in (call.output or ""), call.output
        written = json.loads(check_call(call, requests.get(call.id), rules))
        allowed.setdefault(written["path"], set()).add(written["content"])
        if call.status == "succeeded":
            certain.add(written["path"])
    if not ran:
        return 0
    found = {file.name: file.read_text() for file in (await run.workspace()).iterdir()}
    assert certain <= found.keys() <= allowed.keys()
    assert all(content in allowed[name] for name, content in found.items())
    return len(ran)


def check_call(
    call: ToolCallRow,
    request: InputRequestRow | None,
    rules: dict[UUID, RememberedDecisionRow],
) -> str:
    """Compare a call that ran with its approval; return the input that ran."""
    ran = call.approved_input or call.input
    if request is None:
        assert call.remembered_decision_id is not None
        rule = rules[call.remembered_decision_id]
        assert (rule.decision, rule.input_sha256) == ("approve", sha256(ran))
        return ran
    assert request.status == "answered"
    answer = request.answer or {}
    if answer["decision"] == "edit":
        assert json.loads(ran) == answer["input"]
    else:
        assert (answer["decision"], request.input_sha256) == ("approve", sha256(ran))
    return ran


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
