"""Rate limits, with the headers that report how much is left."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import update

from api.auth.rate_limits import Rates
from api.http import metrics
from api.main import create_app
from domain.errors import RateLimitedError
from persistence.tables.executions import ExecutionRow
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World, execute, make_task


@pytest.fixture(scope="module")
async def slow(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    """A gateway with small limits."""
    limits = {"rate_limit": "5/hour", "failed_auth_limit": "3/hour"}
    app = create_app(settings_of(module_database_url, temporal_address, **limits))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def test_the_headers_report_how_much_is_left(slow: World) -> None:
    async with slow.client("quick") as client:
        answers = [await client.get("/api/v1/tasks") for _ in range(7)]
        assert [a.status_code for a in answers] == [200] * 5 + [429] * 2
        remaining = [a.headers["ratelimit-remaining"] for a in answers]
        assert remaining == ["4", "3", "2", "1", "0", "0", "0"]
        assert {a.headers["ratelimit-limit"] for a in answers} == {"5"}
        assert {a.headers["ratelimit-policy"] for a in answers} == {"5;w=3600"}
        assert 0 < int(answers[-1].headers["retry-after"]) <= 3600
        assert answers[-1].headers["retry-after"] == answers[-1].headers["ratelimit-reset"]
        assert answers[-1].json()["code"] == "rate_limited"
        assert (await client.get("/health/live")).status_code == 200
    async with slow.client("another") as client:
        missing = await client.get("/api/v1/tasks/01938a00-0000-7000-8000-000000000000")
        assert (missing.status_code, missing.headers["ratelimit-remaining"]) == (404, "4")


async def test_many_at_once_do_not_pass_the_limit(slow: World) -> None:
    async with slow.client("burst") as client:
        answers = await asyncio.gather(*(client.get("/api/v1/tasks") for _ in range(30)))
    assert sorted(a.status_code for a in answers) == [200] * 5 + [429] * 25


async def test_guessing_is_slowed_down_for_who_guesses(slow: World) -> None:
    async with slow.client("honest") as honest, httpx2.AsyncClient(base_url=slow.url) as guesser:
        assert (await honest.get("/api/v1/me")).status_code == 200
        statuses = []
        for number in range(6):
            token = f"Bearer pdk_{number}" if number % 2 else "Bearer nonsense"
            answer = await guesser.get("/api/v1/me", headers={"Authorization": token})
            statuses.append(answer.status_code)
        assert statuses == [401] * 3 + [429] * 3
        assert int(answer.headers["retry-after"]) > 0
        assert (await honest.get("/api/v1/me")).status_code == 200


async def test_a_valid_key_is_accepted_where_others_guess(slow: World) -> None:
    """Also one that this gateway has not seen before."""
    async with slow.client("ann") as ann, httpx2.AsyncClient(base_url=slow.url) as anyone:
        keys = [
            (await ann.post("/api/v1/api-keys", json={"name": f"key {n}"})).json()["secret"]
            for n in range(2)
        ]
        guesses = [
            await anyone.get("/api/v1/me", headers={"Authorization": f"Bearer pdk_{n}"})
            for n in range(8)
        ]
        assert guesses[-1].status_code == 429
        for key in keys:
            answer = await anyone.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 200


async def test_guessing_a_hook_s_address_is_slowed_down_too(slow: World) -> None:
    """The limit is used up by the test before this one or by this one itself."""
    async with httpx2.AsyncClient(base_url=slow.url) as guesser:
        answers = [await guesser.post(f"/api/v1/hooks/guess-{n}", json={}) for n in range(5)]
    assert answers[-1].status_code == 429


async def test_without_a_limit_there_are_no_headers(
    world: World, client: httpx2.AsyncClient
) -> None:
    assert world.gateway.rates is None
    assert "ratelimit-limit" not in (await client.get("/api/v1/me")).headers


def test_who_waits_for_the_reset_has_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    rates = Rates("2/minute")
    assert rates.count("a").remaining == 1
    assert rates.count("a").remaining == 0
    now[0] += 10
    with pytest.raises(RateLimitedError) as refusal:
        rates.count("a")
    assert refusal.value.retry_after_seconds == 20
    now[0] += refusal.value.retry_after_seconds
    assert rates.count("a").remaining == 0
    now[0] += 60
    assert rates.state("a").remaining == 2
    assert rates.count("a").headers["RateLimit-Reset"] == "30"


def test_a_burst_and_a_steady_rate_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    rates = Rates("500/second")
    assert [rates.count("a").remaining for _ in range(500)] == [*range(499, -1, -1)]
    with pytest.raises(RateLimitedError):
        rates.count("a")
    assert rates.count("b").remaining == 499
    passed = 0
    for _ in range(10_000):
        now[0] += 0.001
        passed += bool(rates.state("a").remaining and rates.count("a"))
    assert 4_990 <= passed <= 5_000


def test_a_reserved_request_waits_until_the_rate_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    rates = Rates("20/second")
    waits = [round(rates.reserve("a", within=1), 6) for _ in range(50)]
    assert waits[:22] == [*[0] * 20, 0.05, 0.1]
    assert waits[-10:] == [1] * 10
    assert round(rates.reserve("b", within=1), 6) == 0
    now[0] += 2
    assert round(rates.reserve("a", within=1), 6) == 0


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/mcp"])
async def test_a_client_that_repeats_refused_requests_waits(
    slow: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("api.auth.rate_limits.LONGEST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(slow.gateway.refusals, "_rates", Rates("1/hour"))
    async with slow.client(f"stubborn at {path}") as client:
        answers = [await client.post(path, json={}) for _ in range(7)]
        assert [a.status_code for a in answers][-2:] == [429, 429]
    assert answers[-1].elapsed.total_seconds() >= 0.2


@pytest.fixture(scope="module")
async def narrow(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    """A gateway where a user has few requests and streams at a time."""
    limits = {
        "max_concurrent_requests_per_user": 4,
        "max_streams_per_user": 2,
        "notification_test_limit": "2/day",
    }
    app = create_app(settings_of(module_database_url, temporal_address, **limits))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def test_a_user_has_a_limited_number_of_requests_at_a_time(narrow: World) -> None:
    """Requests that wait count; another user is not affected."""
    async with narrow.client("ann") as ann, narrow.client("bob") as bob:
        task = await make_task(ann)
        path = task["_links"]["execute"]
        waiting = [
            asyncio.create_task(ann.post(path, params={"wait": 60}, json={})) for _ in range(4)
        ]
        while narrow.gateway.requests._count.total() < 4:  # noqa: ASYNC110 - a request counts itself
            await asyncio.sleep(0)
        refused = await ann.get("/api/v1/me")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
        assert (await bob.get("/api/v1/me")).status_code == 200
        completed = 0
        while completed < 4:  # a request counts before its execution is stored
            async with narrow.gateway.database.transaction() as session:
                running = update(ExecutionRow).where(ExecutionRow.status != "completed")
                found = await session.execute(
                    running.values(status="completed").returning(ExecutionRow.id)
                )
                completed += len(found.all())
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 4
        assert (await ann.get("/api/v1/me")).status_code == 200


async def test_a_client_that_leaves_while_it_waits_makes_room(narrow: World) -> None:
    async with narrow.client("gus") as gus:
        task = await make_task(gus)
        path = task["_links"]["execute"]
        waiting = asyncio.create_task(gus.post(path, params={"wait": 60}, json={}))
        while metrics.WAITS._value.get() < 1:  # noqa: ASYNC110 - a request counts itself
            await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(30):
            while narrow.gateway.requests._count.total():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        assert metrics.WAITS._value.get() == 0
        assert (await gus.get(task["_links"]["executions"])).json()["total"] == 1


async def test_a_user_has_a_limited_number_of_streams(narrow: World) -> None:
    """A refused stream is no request in progress either, and an ended one makes room."""
    async with narrow.client("eve") as eve, narrow.client("bob") as bob:
        path = (await execute(eve, await make_task(eve)))["_links"]["events"]
        accept = {"Accept": "text/event-stream"}
        async with (
            eve.stream("GET", path, headers=accept) as first,
            eve.stream("GET", path, headers=accept) as second,
        ):
            assert [first.status_code, second.status_code] == [200, 200]
            for _ in range(6):
                assert (await eve.get(path, headers=accept)).status_code == 429
                assert (await eve.get(path)).status_code == 200
            assert (await bob.get("/api/v1/me")).status_code == 200
        while True:
            async with eve.stream("GET", path, headers=accept) as again:
                if again.status_code == 200:
                    break


async def test_test_notifications_are_limited(narrow: World) -> None:
    body = {"webhook": {"url": "https://example.com/hook"}}
    async with narrow.client("mailer") as client:
        answers = [await client.post("/api/v1/notifications/test", json=body) for _ in range(3)]
    assert [a.status_code for a in answers] == [202, 202, 429]
