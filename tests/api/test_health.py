import asyncio

import httpx2
import pytest
from sqlalchemy import text

from api.main import create_app
from cli.stack.addresses import free_port
from domain.ids import new_id
from services.hosts import WorkerHosts
from tests.api.conftest import serve_app, settings_of
from tests.api.world import TASK, World, execute, make_task


async def test_health_and_metrics_need_no_token(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.url) as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        ready = await client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json() == {
            "status": "ok",
            "database": "ok",
            "migrations": "ok",
            "temporal": "ok",
            "workers": "unavailable",
        }
        for path in ("/health/live", "/health/ready"):  # monitors send this by default
            assert (await client.head(path)).status_code == 200
        metrics = await client.get("/metrics")
    assert 'perdure_http_requests_total{method="GET",route="/health/ready"' in metrics.text


async def test_the_root_path_leads_to_the_inbox(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.url, follow_redirects=True) as client:
        response = await client.get("/")
    assert (response.status_code, response.url.path) == (200, "/sign-in")


async def test_without_temporal_what_is_accepted_is_kept(module_database_url: str) -> None:
    app = create_app(settings_of(module_database_url, f"127.0.0.1:{free_port()}"))
    async with serve_app(app) as url, World(url, app.state.gateway).client("alice") as client:
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["temporal"]) == (200, "degraded")
        execution = await execute(client, await make_task(client))
        assert execution["status"] == "pending"


async def test_without_the_database_requests_are_to_be_tried_again(temporal_address: str) -> None:
    nobody = f"postgresql://app:pw@127.0.0.1:{free_port()}/none"
    app = create_app(settings_of(nobody, temporal_address))
    async with serve_app(app) as url, World(url, app.state.gateway).client("alice") as client:
        response = await client.post("/api/v1/tasks", json=TASK)
        assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
        assert int(response.headers["retry-after"]) > 0
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["database"]) == (503, "unavailable")
        assert (await client.get("/health/live")).status_code == 200


async def test_a_database_that_cannot_be_written_to_is_not_ready(
    database_url: str, temporal_address: str
) -> None:
    """Reads still succeed."""
    app = create_app(settings_of(f"{database_url}", temporal_address))
    async with serve_app(app) as url, World(url, app.state.gateway).client("alice") as client:
        assert (await client.get("/health/ready")).json()["database"] == "ok"
        database = app.state.gateway.database
        async with database.transaction() as session:
            name = await session.scalar(text("SELECT current_database()"))
            await session.execute(
                text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            )
        await database.engine.dispose()
        app.state.gateway.write_check._checked_at -= 60
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["database"]) == (503, "read_only")
        async with database.transaction() as session:
            await session.execute(text("SET TRANSACTION READ WRITE"))
            await session.execute(text(f'ALTER DATABASE "{name}" RESET ALL'))


@pytest.mark.parametrize("seconds", [-5, 3600])
async def test_a_worker_that_stopped_announcing_itself_is_unavailable(
    world: World, seconds: float
) -> None:
    """Also if the clock of the database was set back after it had announced itself."""
    host = WorkerHosts(world.gateway.database, new_id())
    async with httpx2.AsyncClient(base_url=world.url) as client:
        await host.announce()
        assert (await client.get("/health/ready")).json()["workers"] == "ok"
        async with world.gateway.database.transaction() as session:
            moved = "UPDATE worker_hosts SET seen_at = seen_at + make_interval(secs => :seconds)"
            await session.execute(text(moved), {"seconds": seconds})
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["workers"]) == (200, "unavailable")


async def test_health_checks_write_rarely(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write = world.gateway.write_check._write
    writes = 0

    async def count() -> bool:
        nonlocal writes
        writes += 1
        return await write()

    monkeypatch.setattr(world.gateway.write_check, "_write", count)
    monkeypatch.setattr("persistence.db.write_check.REMEMBERED_SECONDS", 3600)
    async with httpx2.AsyncClient(base_url=world.url) as client:
        answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert writes <= 1
