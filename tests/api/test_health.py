import httpx2

from api.main import create_app
from cli.stack.addresses import free_port
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
        }
        metrics = await client.get("/metrics")
    assert 'perdure_http_requests_total{method="GET",route="/health/ready"' in metrics.text


async def test_the_root_path_leads_to_the_api_description(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.url, follow_redirects=True) as client:
        response = await client.get("/")
    assert (response.status_code, response.url.path) == (200, "/docs")


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
