"""Lists, usage and single reads over a year of a million executions."""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import event, select

from bench import constant, many
from bench.children import READY_SECONDS, Child, temporary_directory
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.scale import Scale, say
from bench.waiting import eventually
from cli.stack import postgres
from cli.stack.addresses import free_port
from cli.stack.home import write_secret
from cli.stack.postgres import Postgres
from cli.stack.process import RunningPart
from cli.tokens import mint
from persistence.db.database import Database
from persistence.db.migrate import migrate
from persistence.db.paging import Window
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from persistence.ledger import usage
from persistence.ledger.usage import GroupBy, UsageFilter
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from services import maintenance

READER = "many-1"
SECRET = "a secret of the bench that is long enough"  # noqa: S105 - of a throw-away gateway
EXECUTIONS = 1_000_000
PAGE = 20
LONG_PAGE = 100
"""The longest, by which the numbers of pages lead deepest."""

LOOKS = 50
LOAD_SECONDS = 4.0
BUSY_CONNECTIONS = 16
"""Enough for the gateway never to wait for the client."""


@dataclass(frozen=True, slots=True)
class Much:
    """The filled database, and what of it is asked for."""

    url: str
    database: Database
    user_id: UUID
    deep: UUID
    """The execution behind which the deep page begins."""


async def measure(scale: Scale) -> Section:
    """Pages in the database and at the gateway, a year's usage, and GET beside a constant."""
    async with AsyncExitStack() as stack:
        much = await stack.enter_async_context(_filled_server())
        in_database = {
            "first page": await _page_ms(much, Window(PAGE)),
            f"behind {EXECUTIONS // 2:,}": await _page_ms(much, Window(PAGE, before=much.deep)),
        }
        year = {group.value: await _usage_ms(much, group) for group in GroupBy}
        gateway = await stack.enter_async_context(_gateway(much))
        at_gateway = await gateway.pages()
        ratio, ours, theirs = await gateway.compare_with_constant(scale.rounds)
    pages = [
        (
            name,
            str(Spread.of(ms)),
            format_figure(at_gateway[i]["median_ms"]),
            format_figure(at_gateway[i]["p99_ms"]),
        )
        for i, (name, ms) in enumerate(in_database.items())
    ]
    return Section(
        f"Lists over {EXECUTIONS:,} executions",
        f"One user has {many.BUSY_SHARE * 10} % of them. The count is included. GET of an "
        f"execution: {ours}/s; a constant from the same gateway: {theirs}/s.",
        [
            Table("A page of 20", ("page", "database ms", "gateway ms", "p99 ms"), pages),
            Table(
                "A year's usage", ("by", "ms"), [(n, format_figure(ms)) for n, ms in year.items()]
            ),
        ],
        [
            Bar("a page in the database", _worst(in_database), 10, unit="ms"),
            Bar("a page at the gateway, p99", max(p["p99_ms"] for p in at_gateway), 40, unit="ms"),
            Bar("a year's usage", max(year.values()), 1000, unit="ms"),
            Bar("GET of an execution over a constant", ratio.median, 0.45, side="at least"),
        ],
    )


def _worst(pages: dict[str, list[float]]) -> float:
    return max(statistics.median(ms) for ms in pages.values())


@asynccontextmanager
async def _filled_server() -> AsyncIterator[Much]:
    """A server of its own with everything in it."""
    async with database_server() as url:
        say(f"filling in {EXECUTIONS:,} executions")
        await many.fill_at(url, EXECUTIONS)
        database = Database.connect(url)
        say("adding up a year")
        await maintenance.sum_finished_days(database)
        yield await _much(url, database)
        await database.close()


@asynccontextmanager
async def database_server() -> AsyncIterator[str]:
    """The URL of a migrated database on a server of its own."""
    with temporary_directory() as directory:
        directory.chmod(0o711)  # the server's user, who is another one, reaches it
        write_secret(directory / "password", "throw-away")
        server = Postgres(directory / "data", free_port(), directory / "password", options={})
        await postgres.initialise(server)
        running = await RunningPart.start(postgres.part(server, directory / "postgres.log"))
        try:
            await migrate(server.url)
            yield server.url
        finally:
            await running.stop()


async def _much(url: str, database: Database) -> Much:
    async with database.reading() as session:
        user_id = await session.scalar(select(UserRow.id).where(UserRow.subject == READER))
        own = select(ExecutionRow.id).where(ExecutionRow.user_id == user_id)
        deep = await session.scalar(own.order_by(ExecutionRow.id.desc()).offset(EXECUTIONS // 2))
    assert user_id is not None
    assert deep is not None
    return Much(url, database, user_id, deep)


async def _page_ms(much: Much, window: Window) -> list[float]:
    """What Postgres says that the queries of one page take, planning included."""
    recorded: list[tuple[str, Any]] = []

    def record(*event_arguments: Any) -> None:
        recorded.append((event_arguments[2], event_arguments[3]))

    engine = much.database.engine
    event.listen(engine.sync_engine, "before_cursor_execute", record)
    async with much.database.reading() as session:
        await queries.page(session, much.user_id, ExecutionFilter(), window)
    event.remove(engine.sync_engine, "before_cursor_execute", record)
    taken = []
    async with engine.connect() as connection:
        for _ in range(LOOKS):
            total = 0.0
            for statement, parameters in recorded:
                explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
                plan = (await connection.exec_driver_sql(explain, parameters)).scalar_one()[0]
                total += plan["Planning Time"] + plan["Execution Time"]
            taken.append(total)
    return taken


async def _usage_ms(much: Much, group: GroupBy) -> float:
    """The usage of all users in the last year, as an admin reads it."""
    today = datetime.now(UTC).date()
    narrowed = UsageFilter(today - timedelta(days=365), today)
    async with much.database.reading() as session:
        began = time.perf_counter()
        await usage.sum_usage(session, group, narrowed)
        return (time.perf_counter() - began) * 1000


class _Served:
    """A gateway on the filled database, and how to load it."""

    def __init__(self, url: str, much: Much, directory: Path) -> None:
        self._url = url
        self._much = much
        self._directory = directory
        self._header = _authorization(READER, "user")
        # The default limit of requests is for each user.
        self._busy = [_authorization(f"busy-{n}", "admin") for n in range(BUSY_CONNECTIONS)]

    async def pages(self) -> list[dict[str, Any]]:
        """The first page and the deep one, one request after the other."""
        path = "/api/v1/task-executions"
        async with httpx2.AsyncClient(base_url=self._url) as client:
            name, _, value = self._header.partition(": ")
            number = f"?page={EXECUTIONS // 2 // LONG_PAGE}&page_size={LONG_PAGE}"
            answer = await client.get(path + number, headers={name: value})
            deep = f"{path}?cursor={answer.raise_for_status().json()['next_cursor']}"
        return [await self._load(path, 1), await self._load(deep, 1)]

    async def compare_with_constant(self, rounds: int) -> tuple[Spread, Spread, Spread]:
        """Requests per second of GET over a constant's, taking turns, and both."""
        path = f"/api/v1/task-executions/{self._much.deep}"
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append((await self._load(path, BUSY_CONNECTIONS))["per_second"])
            theirs.append((await self._load(constant.PATH, BUSY_CONNECTIONS))["per_second"])
        return Spread.of_ratios(ours, theirs), Spread.of(ours), Spread.of(theirs)

    async def _load(self, path: str, connections: int) -> dict[str, Any]:
        say(f"  {path.partition('?')[0]}, {connections} at a time")
        child = await Child.start(
            "bench.load",
            *(f"{self._url}{path}", str(connections), str(LOAD_SECONDS)),
            *(self._busy if connections == BUSY_CONNECTIONS else [self._header]),
            environment={},
            log=self._directory / "load.log",
            cwd=self._directory,
        )
        return await child.read(within=READY_SECONDS)


def _authorization(user: str, role: str) -> str:
    token = mint(SECRET, user=user, role=role, lives=timedelta(hours=1))
    return f"Authorization: Bearer {token}"


@asynccontextmanager
async def _gateway(much: Much) -> AsyncIterator[_Served]:
    with temporary_directory() as directory:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        child = await Child.start(
            "bench.constant",
            environment={
                "PERDURE_API_PORT": str(port),
                "PERDURE_DATABASE_URL": much.url,
                "PERDURE_JWT_SECRET": SECRET,
                "PERDURE_HOME": str(directory),
                "PERDURE_TEMPORAL_ADDRESS": "127.0.0.1:1",  # nothing is started
                "PERDURE_LOG_LEVEL": "error",
            },
            log=directory / "gateway.log",
            cwd=directory,
        )

        async def answers() -> bool:
            try:
                async with httpx2.AsyncClient() as client:
                    return (await client.get(f"{url}{constant.PATH}")).is_success
            except httpx2.TransportError:
                return False

        try:
            await eventually(answers, within=READY_SECONDS, what="the gateway")
            yield _Served(url, much, directory)
        finally:
            await child.stop()
