"""Replay histories of earlier versions with the current delivery workflow (see test_replay.py)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from claude.scripted import ScriptedModelServer
from contracts.names import notification_workflow_id
from domain.people.notifications import Kind
from persistence.notifications import queries
from runtime.temporal import DATA_CONVERTER
from tests.engine.driver import Engine
from tests.engine.running import make_place, open_driver, run_worker
from tests.replay.test_replay import anonymise
from tests.runtime.receiver import answer, receiving
from tests.waiting import WITHIN_SECONDS
from workflows.notification import NotificationDelivery

HISTORIES = Path(__file__).parent / "deliveries"

BEHAVIOURS: dict[str, list[bytes]] = {
    "is_delivered": [answer(204)],
    "is_delivered_later": [answer(503), answer(204)],
    "fails": [answer(410)],
}
"""The answers of the receiver for each behaviour of the delivery."""


@pytest.fixture(scope="module")
async def engine(
    module_database_url: str,
    temporal_address: str,
    scripted_model: ScriptedModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Engine]:
    home = tmp_path_factory.mktemp("deliveries")
    place = await make_place(module_database_url, temporal_address, home)
    async with (
        open_driver(place, scripted_model) as engine,
        run_worker(place, scripted_model, outbound_allow=("127.0.0.1",)),
    ):
        yield engine


async def replay(history: str) -> None:
    """Replay a history; raises if the code does not match it."""
    replayer = Replayer(
        workflows=[NotificationDelivery],
        workflow_runner=SandboxedWorkflowRunner(),
        data_converter=DATA_CONVERTER,
    )
    await replayer.replay_workflow(WorkflowHistory.from_json("notification-saved", history))


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_saved_histories_replay(path: Path) -> None:
    await replay(await asyncio.to_thread(path.read_text, encoding="utf-8"))


def test_every_behaviour_has_a_saved_history() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == set(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_fresh_histories_replay(
    engine: Engine, behaviour: str, request: pytest.FixtureRequest
) -> None:
    async with receiving(*BEHAVIOURS[behaviour]) as receiver:
        target = {"url": f"http://127.0.0.1:{receiver.port}/"}
        async with engine.database.transaction() as session:
            row = await queries.create_test(session, engine.user_id, Kind.WEBHOOK, target)
        handle: WorkflowHandle[Any, Any] = engine.client.get_workflow_handle(
            notification_workflow_id(row.id)
        )
        await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
        try:
            await handle.result()
        except WorkflowFailureError:
            assert behaviour == "fails"
    history = (await handle.fetch_history()).to_json()
    await replay(history)
    if request.config.getoption("--record-histories"):
        HISTORIES.mkdir(exist_ok=True)
        path = HISTORIES / f"{behaviour}.json"
        await asyncio.to_thread(path.write_text, anonymise(history) + "\n", encoding="utf-8")
