"""Temporal does not answer for a time: a worker continues, and loses no call that it has made."""

import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from claude.scripted import ScriptedModelServer
from cli.stack import temporal
from cli.stack.addresses import free_port
from cli.stack.process import RunningPart
from cli.stack.temporal import Temporal
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker
from tests.waiting import eventually

LONG_MS = 15_000
"""Longer than the SDK waits for an answer to a heartbeat until it cancels the activity: 10 s."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Temporal, RunningPart]]:
    """A Temporal server that only one test uses."""
    server = Temporal(
        database=tmp_path / "temporal.db",
        port=free_port(),
        ui_port=free_port(),
        http_port=free_port(),
    )
    running = await RunningPart.start(temporal.part(server, tmp_path / "temporal.log"))
    yield server, running
    await running.stop()


@pytest.fixture
async def place(
    database_url: str, server: tuple[Temporal, RunningPart], servers_directory: Path
) -> WorkerPlace:
    home = servers_directory / f"unavailable-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, server[0].address, home)


async def test_calls_that_take_longer_than_the_heartbeat_timeout_are_not_lost(
    place: WorkerPlace,
    server: tuple[Temporal, RunningPart],
    scripted_model: ScriptedModelServer,
) -> None:
    """One call ends while Temporal is unavailable, the next one after it is available again."""
    async with open_driver(place, scripted_model) as engine, run_worker(place, scripted_model):
        gate = engine.gate()
        run = await engine.start(
            {"delay_ms": LONG_MS, "tool_use": use("bash", command="echo once >> log")},
            {"gate": gate.name, "tool_use": use("bash", command="cat log")},
            {"text": "{last_tool_result}"},
            allowed_tools=["bash"],
        )
        await run.wait_for_model_call()
        os.kill(server[1].pid, signal.SIGSTOP)
        try:
            await run.wait_until(lambda row: row.total_turns == 1)
            await run.wait_for_model_call()
        finally:
            os.kill(server[1].pid, signal.SIGCONT)
        await wait_until_temporal_knows(run, since=datetime.now(UTC))
        gate.open()
        assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        assert await run.text() == "once\n\n[exit code 0]"
        assert [call.status for call in await run.model_calls()] == ["succeeded"] * 3
        assert [call.status for call in await run.tool_calls()] == ["succeeded"] * 2


async def wait_until_temporal_knows(run: Run, since: datetime) -> None:
    """Wait until Temporal has received a heartbeat since then, or has started another attempt.

    Which one comes first depends on what the server does first: its timers or its requests.
    """

    async def is_known() -> bool:
        described = await run.handle.describe()
        (activity,) = described.raw_description.pending_activities
        is_repeated = (
            activity.attempt > 1
            and activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        )
        return is_repeated or activity.last_heartbeat_time.ToDatetime(UTC) > since

    await eventually(is_known, what="a heartbeat or another attempt")
