"""Random decisions about tool calls, with kills of the worker: what ran is what was approved.

Each call writes its own text into a file of its own, so the workspace shows which calls ran. An
execution is one sequence of decisions. A part has 100 of them and seeds of its own, so that each
part can be run alone (`-k part-3`).
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from claude.scripted import ScriptedModelServer
from domain.errors import PerdureError
from domain.executions.signals import SignalKind
from persistence.executions import input_requests, queries
from persistence.executions.signals import append_signal
from persistence.tables.executions import ExecutionRow
from persistence.tables.people import RememberedDecisionRow
from persistence.tables.sessions import InputRequestRow, ToolCallRow
from services.executions import holding
from tests.engine.driver import Engine, Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, worker_process
from tests.waiting import eventually

PARTS = 10
SEQUENCES, KILLS = 100, 4
"""Of one part."""

TURNS, CALLS = 2, 2
"""Turns of one execution, and tool calls of a turn. One call in three is that of an earlier turn
again, which a remembered decision covers."""

DECISIONS = ("approve", "approve", "edit", "deny", "remember", "remember denial", "undo", "expire")
KILLED_BETWEEN = range(20, 280)
"""A worker is killed when this many decisions were made. Each part makes 300 at least."""

EXPIRING = {"due_seconds": 3600, "on_expiry": "deny"}
PARALLEL_ANSWERS = 8


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    """A place of the test's own: no other worker may take over."""
    home = servers_directory / f"decisions-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


@dataclass(slots=True)
class Decisions:
    """Decides about each open request once, at random, and remembers the decisions."""

    engine: Engine
    chance: random.Random
    decided: dict[UUID, str] = field(default_factory=dict)

    async def decide_open(self) -> None:
        async with self.engine.database.reading() as session:
            rows = await session.scalars(
                select(InputRequestRow).where(
                    InputRequestRow.status == "open", InputRequestRow.id.not_in(self.decided)
                )
            )
            new = rows.all()
        for row in new:
            self.decided[row.id] = self.chance.choice(DECISIONS)
        for position in range(0, len(new), PARALLEL_ANSWERS):
            batch = new[position : position + PARALLEL_ANSWERS]
            await asyncio.gather(*(self._decide(row, self.decided[row.id]) for row in batch))
        await holding.apply_held(self.engine.services)

    async def _decide(self, row: InputRequestRow, chosen: str) -> None:
        if chosen == "expire":
            await self._expire(row)
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
        with contextlib.suppress(PerdureError):  # it has expired, or a rule has decided it
            await run.answer(row, **bodies[chosen])
            if chosen == "undo":
                async with self.engine.transaction() as work:
                    await holding.withdraw(work, row.id)
                await run.answer(row, decision="deny")

    async def _expire(self, row: InputRequestRow) -> None:
        """Let a request be due now, as if its time had passed."""
        async with self.engine.transaction() as work:
            execution = await queries.lock_existing(work.session, row.execution_id)
            due = await input_requests.lock(work.session, row.id)
            due.due_at = datetime.now(UTC)
            changed = {"input_request_id": str(row.id)}
            await append_signal(work.session, execution.id, SignalKind.REQUEST_CHANGED, changed)
            work.wake_workflow(execution.id, execution.workflow_id)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "seed", [pytest.param(number, id=f"part-{number}") for number in range(1, PARTS + 1)]
)
async def test_what_ran_is_what_was_approved(
    place: WorkerPlace, scripted_model: ScriptedModelServer, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    async with open_driver(place, scripted_model) as engine:
        runs = [
            await engine.start(
                *turns(chance), ask_tools=["write_file"], human_input_policy=EXPIRING
            )
            for _ in range(SEQUENCES)
        ]
        decisions = Decisions(engine, chance)
        killed: list[int] = []
        async with asyncio.TaskGroup() as group:
            kills = sorted(chance.sample(KILLED_BETWEEN, KILLS))
            killing = group.create_task(
                kill_workers(place, scripted_model, decisions, kills, killed)
            )
            await eventually(
                lambda: have_ended(runs, decisions), within=3000, what="the end of all executions"
            )
            killing.cancel()
        executed = [await check(engine, run) for run in runs]
    assert killed == kills
    assert set(decisions.decided.values()) == set(DECISIONS)
    assert sum(executed) > SEQUENCES
    chosen = dict(Counter(decisions.decided.values()))
    print(f"{SEQUENCES} sequences, {sum(executed)} calls ran, killed at {killed}: {chosen}")  # noqa: T201 - for the report


def turns(chance: random.Random) -> list[dict[str, Any]]:
    """Several calls in each turn; some repeat a call of the turn before."""
    made: list[list[dict[str, Any]]] = []
    for turn in range(TURNS):
        calls = [
            use("write_file", path=f"file-{turn}-{number}", content=f"text {turn} {number}")
            for number in range(CALLS)
        ]
        if made and chance.random() < CALLS / 3:
            calls[0] = chance.choice(made[-1])
        made.append(calls)
    return [*({"tool_use": calls} for calls in made), {"text": "Done."}]


async def have_ended(runs: list[Run], decisions: Decisions) -> bool:
    await decisions.decide_open()
    active = select(ExecutionRow.id).where(
        ExecutionRow.id.in_([run.id for run in runs]), ExecutionRow.completed_at.is_(None)
    )
    async with decisions.engine.database.reading() as session:
        return await session.scalar(active.limit(1)) is None


async def kill_workers(
    place: WorkerPlace,
    scripted: ScriptedModelServer,
    decisions: Decisions,
    kills: list[int],
    killed: list[int],
) -> None:
    """Kill one worker after the other, and leave the last one running."""
    for number in kills:
        async with running(place, scripted) as process:
            await eventually(
                partial(are_made, decisions, number), within=2000, what=f"{number} decisions"
            )
            process.kill()
            killed.append(number)
    async with running(place, scripted):
        await asyncio.Event().wait()


async def are_made(decisions: Decisions, number: int) -> bool:
    return len(decisions.decided) >= number


@contextlib.asynccontextmanager
async def running(
    place: WorkerPlace, scripted: ScriptedModelServer
) -> AsyncIterator[asyncio.subprocess.Process]:
    (place.home / "ready").unlink(missing_ok=True)
    quiet = {"PERDURE_LOG_LEVEL": "info"}
    async with worker_process(place, scripted, log=place.home / "log", more=quiet) as process:
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
