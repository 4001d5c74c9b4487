"""`http_request` on the real engine: a secret reaches its host, and is stored nowhere."""

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from claude.scripted import ScriptedModelServer
from persistence.definitions import secrets
from runtime.secret_box import SecretBox
from tests.engine.driver import Engine, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker
from tests.runtime.receiver import answer, receiving
from tests.workflows.notifications.deliveries import KEY

CANARY = "green-canary-83ab"


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    """A place of the test's own: its worker may reach this machine."""
    home = servers_directory / f"web-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


async def test_a_secret_reaches_its_host_and_is_stored_nowhere(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    echo = answer(200, f'{{"echo": "{CANARY}"}}'.encode() * 10_000)
    async with receiving(echo) as receiver, receiving() as inside:
        host, others = f"127.0.0.1:{receiver.port}", f"*:{inside.port}"
        headers = {"Authorization": "Bearer secret://key"}
        call = use("http_request", method="POST", url=f"http://{host}/", headers=headers)
        async with (
            open_driver(place, scripted_model) as engine,
            run_worker(
                place,
                scripted_model,
                network_allow=f"{host},{others}",
                outbound_allow="127.0.0.1",  # for webhooks, and not for tools
                secrets_key=KEY,
            ),
        ):
            await store_secret(engine)
            run = await engine.run_to_completion(
                {"tool_use": call},
                {"tool_use": use("web_fetch", url=f"http://127.0.0.1:{inside.port}/")},
                {"text": "{last_tool_result}"},
                allowed_tools=["http_request", "web_fetch"],
                network={"allow": [host, others]},
            )
            assert "which is not public" in await run.text()
            sent, refused = await run.tool_calls()
            assert (sent.effect, sent.status) == ("external", "succeeded")
            assert "********" in (sent.output or "")
            assert (refused.effect, refused.status) == ("read_only", "failed")
            [connection] = (sent.connections or {})["connections"]
            assert (connection["host"], connection["port"]) == ("127.0.0.1", receiver.port)
            assert connection["received_bytes"] > 100_000
            [connection] = (refused.connections or {})["connections"]
            assert (connection["port"], connection["verdict"]) == (inside.port, "refused")
            assert CANARY not in str(await run.history())
            assert await tables_with(engine, CANARY) == []
    assert receiver.received[0].headers["authorization"] == f"Bearer {CANARY}"
    assert inside.received == []
    files = [path for path in place.home.rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert any(path.stat().st_size > 100_000 for path in files)


async def store_secret(engine: Engine) -> None:
    async with engine.database.transaction() as session:
        await secrets.put(
            session,
            SecretBox(KEY),
            engine.user_id,
            "key",
            CANARY,
            hosts=["127.0.0.1"],
            tools=["http_request"],
        )


async def tables_with(engine: Engine, word: str) -> list[str]:
    """The tables with a row that contains the word."""
    async with engine.database.reading() as session:
        names = await session.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        return [
            name
            for name in names.all()
            if await session.scalar(
                text(f'SELECT count(*) FROM "{name}" AS r WHERE r::text LIKE :word'),  # noqa: S608
                {"word": f"%{word}%"},
            )
        ]
