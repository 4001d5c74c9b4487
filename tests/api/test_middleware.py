"""What every answer carries, and who is let in."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select

from api.main import create_app
from persistence.tables.ledger import AuditRow
from tests.api.conftest import serve_app, settings_of
from tests.api.world import TASK, World, make_task

DESK = "https://desk.example.com"


@pytest.fixture(scope="module")
async def public(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    """A gateway behind a proxy on the internet."""
    given = {
        "public_url": "https://perdure.example.com",
        "cors_origins": DESK,
        "trusted_proxies": "127.0.0.0/8,10.1.0.0/16",
    }
    app = create_app(settings_of(module_database_url, temporal_address, **given))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def test_every_answer_is_guarded(world: World, public: World) -> None:
    async with world.client("alice") as client:
        task = await make_task(client)
        for path in ("/api/v1/tasks", "/api/v1/nothing", "/health/live", task["_links"]["self"]):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "strict-transport-security" not in headers
            tagged = "etag" in headers
            assert headers["cache-control"] == ("private, no-cache" if tagged else "no-store")
    async with public.client("alice") as client:
        assert "max-age" in (await client.get("/health/live")).headers["strict-transport-security"]


LOCAL_NAMES = ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:1", "[::1]:8000"]
OTHER_NAMES = [
    "evil.example.com",
    "localhost.evil.example.com",
    "127.0.0.1.evil.example.com",
    "[::2]",
    "[::1].evil.example.com",
    "[",
    "localhost@evil.example.com",
    "localhost.",
    "",
]


@pytest.mark.parametrize("host", LOCAL_NAMES)
async def test_requests_to_local_names_are_accepted_on_loopback(
    client: httpx2.AsyncClient, host: str
) -> None:
    response = await client.get("/api/v1/me", headers={"Host": host})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("host", OTHER_NAMES)
async def test_requests_to_other_names_are_refused_on_loopback(
    client: httpx2.AsyncClient, host: str
) -> None:
    response = await client.get("/api/v1/me", headers={"Host": host})
    assert response.status_code == 421, response.text
    assert response.json()["code"] == "host_refused"
    assert response.headers["x-request-id"] == response.json()["request_id"]


@pytest.mark.parametrize("host", LOCAL_NAMES + OTHER_NAMES)
async def test_health_checks_accept_every_host(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/health/live", headers={"Host": host})).status_code == 200


async def test_the_public_name_leads_here_too(public: World) -> None:
    async with public.client("alice") as client:
        headers = {"Host": "perdure.example.com"}
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("api.example.com", 200), ("a.b.example.com", 200), ("example.com", 421), ("localhost", 200)],
)
async def test_the_operator_names_the_hosts(
    module_database_url: str, temporal_address: str, host: str, status: int
) -> None:
    settings = settings_of(
        module_database_url,
        temporal_address,
        api_host="0.0.0.0",  # noqa: S104 - named, not bound
        allowed_hosts="*.example.com",
    )
    app = create_app(settings)
    async with serve_app(app) as url, World(url, app.state.gateway).client("alice") as client:
        assert (await client.get("/api/v1/me", headers={"Host": host})).status_code == status


async def test_pages_of_other_origins_change_nothing(world: World, public: World) -> None:
    async with world.client("alice") as client:
        for origin in ("https://evil.example.com", "null", DESK, "http://[", "://", "x", "http://"):
            response = await client.post("/api/v1/tasks", json=TASK, headers={"Origin": origin})
            assert (response.status_code, response.json()["code"]) == (403, "origin_refused")
            assert "access-control-allow-origin" not in response.headers
        await make_task(client)
        same_origin = {"Origin": world.url}
        assert (await client.post("/api/v1/tasks", json={}, headers=same_origin)).status_code == 422
    async with public.client("alice") as client:
        for origin in (DESK, "https://perdure.example.com"):
            response = await client.post("/api/v1/tasks", json={}, headers={"Origin": origin})
            assert response.status_code == 422
        evil = {"Origin": "https://evil.example.com"}
        assert (await client.post("/api/v1/tasks", json={}, headers=evil)).status_code == 403


async def test_other_origins_read_only_where_they_are_named(world: World, public: World) -> None:
    asked = {"Origin": DESK, "Access-Control-Request-Method": "POST"}
    for known, expected in ((world, None), (public, DESK)):
        async with known.client("alice") as client:
            read = await client.get("/api/v1/tasks", headers={"Origin": DESK})
            assert read.headers.get("access-control-allow-origin") == expected
            assert "access-control-allow-credentials" not in read.headers
            before = await client.options("/api/v1/tasks", headers=asked)
            assert before.headers.get("access-control-allow-origin") == expected
            assert before.headers["x-request-id"]


async def test_addresses_are_those_of_trusted_proxies(world: World, public: World) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9, 10.1.2.3"}
    for known, expected in ((world, "127.0.0.1"), (public, "203.0.113.9")):
        async with known.client("alice") as client:
            task = await make_task(client)
            await client.delete(task["_links"]["self"], headers=forwarded)
        async with known.gateway.database.reading() as session:
            row = await session.scalar(
                select(AuditRow).where(
                    AuditRow.entity_id == UUID(task["id"]), AuditRow.action == "task.delete"
                )
            )
        assert row
        assert row.address == expected


async def test_the_description_is_shown_from_our_own_files(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.url) as client:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self';" in page.headers["content-security-policy"]
        assert "http" not in page.text.replace("http-equiv", "")
        assert "<script>" not in page.text
        for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js", "favicon-32x32.png"):
            assert f"/docs/{name}" in page.text
            assert (await client.get(f"/docs/{name}")).status_code == 200
        for name in ("index.html", "README.md", "..%2f__init__.py", "nothing"):
            assert (await client.get(f"/docs/{name}")).status_code == 404
