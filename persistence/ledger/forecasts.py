"""Forecasts of a task's next execution, from completed ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SAMPLE = 100
"""A forecast uses this many executions: the latest, since tasks change (chosen)."""

SEARCHED = 1_000
"""The sample is searched in this many executions of the task, of all users and statuses, which
limits the query (chosen)."""

_MEASURES = {
    "cost_usd": "cost_usd",
    "input_tokens": "input_tokens + cache_read_tokens + cache_write_tokens",
    "output_tokens": "output_tokens",
    "turns": "total_turns",
    "duration_seconds": "extract(epoch FROM completed_at - started_at)",
}

_SPREADS = ", ".join(
    f"percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY {expression}) AS {name}"
    for name, expression in _MEASURES.items()
)

FORECAST = text(f"""
WITH latest AS MATERIALIZED (
    SELECT * FROM executions WHERE task_id = :task_id ORDER BY id DESC LIMIT {SEARCHED}
),
sample AS (
    SELECT * FROM latest WHERE user_id = :user_id AND status = 'completed' AND NOT is_scripted
    ORDER BY id DESC LIMIT {SAMPLE}
)
SELECT count(*) AS executions, {_SPREADS} FROM sample
""")  # noqa: S608 - made of our own constants


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 90th percentile of a measure."""

    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Spreads over `executions` past executions, by measure."""

    executions: int
    spreads: Mapping[str, Spread]


async def make_forecast(session: AsyncSession, task_id: UUID, user_id: UUID) -> Forecast:
    """The forecast from the user's own executions of any version of a task.

    Those that the scripted model answered say nothing about cost and time.
    """
    found = await session.execute(FORECAST, {"task_id": task_id, "user_id": user_id})
    row = found.mappings().one()
    spreads = {
        name: Spread(round(float(row[name][0]), 6), round(float(row[name][1]), 6))
        for name in _MEASURES
        if row[name] is not None
    }
    return Forecast(row["executions"], spreads)
