"""The queue of external work: killed workers lose nothing, claims are fast, workflows close."""

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from bench import many
from bench.cases.lists import database_server
from bench.children import Child
from bench.claimer import PAIR_BYTES
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.scale import Scale, say
from bench.waiting import eventually
from bench.world import World
from cli.tokens import mint
from definitions.tasks import TaskDefinition
from domain.ids import new_id
from persistence.db.database import Database, sqlalchemy_url
from persistence.executions import creation, leases
from persistence.executions.creation import Start, Work
from persistence.executions.leases import Lease
from persistence.identity import users
from persistence.ledger.audit import Actor
from persistence.tables.ledger import UserRow

CLAIMERS = 20
KILLED = 10
LEASE_SECONDS = 10.0
STORED_AT_ONCE = 500
USER = "queue"

STARTED_SECONDS = 1_200.0
DRAIN_SECONDS = 900.0
CLOSED_SECONDS = 300.0
"""The bar: within five minutes after the last completion."""

CLAIMS = 50
AGENTS = 5

FILL = text("""
INSERT INTO executions (id, user_id, title, agent_id, executor, tags, trigger_type,
    trigger_metadata, prompt_variables, missing_variables, rendered_prompt, status, priority,
    depth, source, calculated_priority, workflow_id, definition)
SELECT id, :user_id, 'work', 'agent-' || n % :agents, 'external', '{}', 'api', '{}', '{}', '[]',
    'Work.', 'pending', n % 11, 0, 'human', round(CAST(random() * 100 AS numeric), 2),
    'execution-' || id, '{"prompt_template": "Work."}'
FROM (
    SELECT n, uuidv7() AS id FROM generate_series(1, CAST(:count AS int)) AS n
) AS made
""")

OPEN = "SELECT count(*) FROM executions WHERE status NOT IN ('completed', 'failed', 'cancelled')"
UNSTARTED = "SELECT count(*) FROM signals WHERE kind = 'start' AND consumed_at IS NULL"


@dataclass(frozen=True, slots=True)
class Drain:
    """What twenty workers did. `twice`: completed by two; `overlapping`: a living one lost it."""

    completed: int
    twice: int
    overlapping: int
    lost: int
    per_second: float
    closed_seconds: float


async def measure(scale: Scale) -> Section:
    """Drain a queue while workers are killed; then time claims among many rows."""
    drain = await _drain(scale.queued)
    claims = await _time_claims(scale.claimable)
    rows = [(name, str(Spread.of(ms))) for name, ms in claims.items()]
    slowest = max(statistics.median(ms) for ms in claims.values())
    return Section(
        "Queue of external work",
        f"{CLAIMERS} workers in processes of their own drain {scale.queued:,} executions, whose "
        f"workflows run, through one gateway; {KILLED} of them are killed on the way. A pair is a "
        "claim and a completion. Then claims are timed in a database in which "
        f"{scale.claimable:,} executions of one user are pending, with the way there and back.",
        [
            Table(
                "Drain",
                ("completed", "twice", "lost", "pairs/s", "all workflows closed after s"),
                [(
                    f"{drain.completed:,}", str(drain.twice + drain.overlapping), str(drain.lost),
                    format_figure(drain.per_second), format_figure(drain.closed_seconds),
                )],
            ),
            Table("Milliseconds of a claim", ("claim", "ms"), rows),
        ],
        [
            Bar("queue: executions claimed by two workers at once",
                drain.twice + drain.overlapping, 0),
            Bar("queue: executions lost", drain.lost, 0),
            Bar("queue: claim-and-complete pairs",
                drain.per_second, 300, side="at least", unit="/s"),
            Bar("queue: workflows closed after the drain",
                drain.closed_seconds, CLOSED_SECONDS, unit="s"),
            Bar("queue: a claim in the database", slowest, 5, unit="ms"),
        ],
    )  # fmt: skip


async def _drain(count: int) -> Drain:
    # All workers are of one user, whose rate the default limits to 500 requests a second.
    async with World.running({"PERDURE_RATE_LIMIT": ""}) as world:
        database = Database.connect(world.facts["database_url"])
        say(f"storing {count:,} executions")
        await store_work(database, count)
        say("waiting for their workflows to start")
        await eventually(
            partial(_is_zero, database, UNSTARTED), within=STARTED_SECONDS, what="the starts"
        )
        logs = await run_workers(world, count)
        ended_at = time.monotonic()
        lost = await count_rows(database, OPEN)
        say("waiting for their workflows to close")
        await eventually(
            partial(_is_zero, database, UNCLOSED), within=3 * CLOSED_SECONDS, what="the ends"
        )
        closed_seconds = time.monotonic() - ended_at
        await database.close()
    done = [line.split() for log in logs for line in log if line.startswith("done")]
    times = sorted(float(line[2]) for line in done)
    # Without the beginning and the end, when some workers have not begun or have nothing to do.
    first, last = len(times) // 10, len(times) * 9 // 10
    counts = Counter(line[1] for line in done)
    return Drain(
        completed=len(counts),
        twice=sum(number - 1 for number in counts.values()),
        overlapping=_count_overlaps(logs),
        lost=lost,
        per_second=(last - first) / (times[last] - times[first]),
        closed_seconds=closed_seconds,
    )


UNCLOSED = "SELECT count(*) FROM signals WHERE consumed_at IS NULL"
"""A workflow consumes the signal of the end that a worker has reported."""


async def store_work(database: Database, count: int) -> None:
    """Store work as a plan does; the relay starts the workflows."""
    async with database.transaction() as session:
        user = await users.find_or_create(session, USER, "user")
        user_id = user.id
    work = Work(
        definition=TaskDefinition(prompt_template="Work."),
        title="Work",
        is_inline=True,
        executor="external",
    )
    for first in range(0, count, STORED_AT_ONCE):
        number = min(STORED_AT_ONCE, count - first)
        starts = [
            Start(work=work, user_id=user_id, actor=Actor(user_id), trigger_type="api")
            for _ in range(number)
        ]
        async with database.transaction() as session:
            await creation.store_all(session, [(start, None) for start in starts])


async def run_workers(world: World, count: int) -> Sequence[Sequence[str]]:
    """Run the workers to their end, kill some; the lines of each log, killed ones first."""
    secret = world.home.jwt_secret_file.read_text().strip()
    token = mint(secret, user=USER, role="user", lives=timedelta(hours=2))
    logs = [world.directory / f"claimer-{number}.txt" for number in range(CLAIMERS)]
    children = [
        await Child.start(
            "bench.claimer",
            *(world.facts["api_url"], token, str(LEASE_SECONDS), str(log)),
            environment={},
            log=world.directory / "claimers.log",
            cwd=world.directory,
        )
        for log in logs
    ]
    say(f"draining; {KILLED} of {CLAIMERS} workers are killed")
    for number in range(KILLED):
        # Spread over the first two thirds of the work.
        due = count * (number + random.random()) / KILLED * 2 / 3  # noqa: S311 - no secret
        await eventually(
            partial(_has_done, logs, due), within=DRAIN_SECONDS, what="the next completion"
        )
        await children[number].kill()
    async with asyncio.timeout(DRAIN_SECONDS):
        await asyncio.gather(*(child.wait_until_finished() for child in children[KILLED:]))
    return [log.read_text().splitlines() for log in logs]


async def _has_done(logs: Sequence[Path], count: float) -> bool:
    """Whether about so many pairs are in the logs. Their sizes say so: reading them takes CPU."""
    sizes = (log.stat().st_size for log in logs if log.exists())
    return sum(sizes) >= count * PAIR_BYTES


def _count_overlaps(logs: Sequence[Sequence[str]]) -> int:
    """Executions that two workers claimed although neither was killed."""
    living = Counter(
        line.split()[1] for log in logs[KILLED:] for line in log if line.startswith("claimed")
    )
    return sum(number - 1 for number in living.values())


async def _is_zero(database: Database, query: str) -> bool:
    return await count_rows(database, query) == 0


async def count_rows(database: Database, query: str) -> int:
    """The number that a query returns, such as `OPEN`."""
    async with database.reading() as session:
        count: int = await session.scalar(text(query)) or 0
        return count


async def _time_claims(count: int) -> dict[str, list[float]]:
    """Milliseconds of claims of any work, of one agent, and of all agents."""
    async with database_server() as url:
        database = Database.connect(url)
        user_id = new_id()
        async with database.transaction() as session:
            session.add(UserRow(id=user_id, subject=USER, role="user"))
        say(f"filling in {count:,} pending executions")
        await _fill(url, user_id, count)
        agents = [None, *(f"agent-{number}" for number in range(AGENTS))]
        taken = {
            "any work": await _claim_often(database, user_id, None),
            "of one agent": await _claim_often(database, user_id, agents[1:2]),
            f"of {AGENTS} agents": await _claim_often(database, user_id, agents),
        }
        await database.close()
        return taken


async def _fill(url: str, user_id: UUID, count: int) -> None:
    """Store pending work; without the limits of time that services have."""
    engine = create_async_engine(sqlalchemy_url(url))
    async with AsyncSession(engine) as session, session.begin(), many.without_indexes(session):
        await session.execute(FILL, {"user_id": user_id, "agents": AGENTS, "count": count})
    async with engine.connect() as connection:
        in_no_transaction = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await in_no_transaction.execute(text("VACUUM ANALYZE executions"))
    await engine.dispose()


async def _claim_often(
    database: Database, user_id: UUID, agents: Sequence[str | None] | None
) -> list[float]:
    taken = []
    for _ in range(CLAIMS + 1):
        lease = Lease(claimed_by="bench", seconds=600)
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))  # the connection is there
            began = time.perf_counter()
            if agents is None:
                found = await leases.claim_next(session, user_id, lease)
            else:
                found = await leases.claim_next_of(session, user_id, agents, lease)
            taken.append((time.perf_counter() - began) * 1000)
            assert found is not None
    return taken[1:]
