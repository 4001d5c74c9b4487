"""Today's code of deliveries against histories made before it; see tests/replay/test_replay.py."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from claude.scripted import ScriptedModelServer
from contracts.names import notification_workflow_id
from domain.notifications import Kind
from persistence.notifications import queries
from runtime.sandbox import SandboxedRunner
from tests.engine.driver import Engine
from tests.engine.running import driving, make_place, working
from tests.replay.test_replay import anonymous
from tests.runtime.receiver import answer, receiving
from tests.waiting import WITHIN_SECONDS
from workflows.notification import NotificationDelivery

HISTORIES = Path(__file__).parent / "deliveries"

BEHAVIOURS: dict[str, list[bytes]] = {
    "is_taken": [answer(204)],
    "is_taken_later": [answer(503), answer(204)],
    "is_given_up": [answer(410)],
}
"""What the receiver answers, by what the delivery does."""


@pytest.fixture(scope="module")
async def notifying(
    module_database_url: str,
    temporal_address: str,
    scripted_model: ScriptedModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Engine]:
    home = tmp_path_factory.mktemp("deliveries")
    place = await make_place(module_database_url, temporal_address, home)
    async with (
        driving(place, scripted_model) as engine,
        working(place, scripted_model, outbound_allow=("127.0.0.1",)),
    ):
        yield engine


async def replay(history: str) -> None:
    """Raises what the replay finds."""
    replayer = Replayer(
        workflows=[NotificationDelivery],
        workflow_runner=SandboxedRunner(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(WorkflowHistory.from_json("notification-saved", history))


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_saved_histories_replay(path: Path) -> None:
    await replay(await asyncio.to_thread(path.read_text, encoding="utf-8"))


def test_every_behaviour_has_a_saved_history() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == set(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_fresh_histories_replay(
    notifying: Engine, behaviour: str, request: pytest.FixtureRequest
) -> None:
    async with receiving(*BEHAVIOURS[behaviour]) as receiver:
        target = {"url": f"http://127.0.0.1:{receiver.port}/"}
        async with notifying.database.transaction() as session:
            row = await queries.test(session, notifying.user_id, Kind.WEBHOOK, target)
        handle: WorkflowHandle[Any, Any] = notifying.client.get_workflow_handle(
            notification_workflow_id(row.id)
        )
        await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
        try:
            await handle.result()
        except WorkflowFailureError:
            assert behaviour == "is_given_up"
    history = (await handle.fetch_history()).to_json()
    await replay(history)
    if request.config.getoption("--record-histories"):
        HISTORIES.mkdir(exist_ok=True)
        path = HISTORIES / f"{behaviour}.json"
        await asyncio.to_thread(path.write_text, anonymous(history) + "\n", encoding="utf-8")
