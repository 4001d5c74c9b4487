"""What a task's next execution may cost and take, from the ones that completed before."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SAMPLE = 100
"""Executions that a forecast is made from: the latest, since tasks change (chosen)."""

LOOKED_AT = 1_000
"""Executions of a task that are looked through for the sample, whoever runs it and however they
end: this bounds the query (chosen)."""

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
    SELECT * FROM executions WHERE task_id = :task_id ORDER BY id DESC LIMIT {LOOKED_AT}
),
sample AS (
    SELECT * FROM latest WHERE user_id = :user_id AND status = 'completed'
    ORDER BY id DESC LIMIT {SAMPLE}
)
SELECT count(*) AS executions, {_SPREADS} FROM sample
""")  # noqa: S608 - made of our own constants


@dataclass(frozen=True, slots=True)
class Spread:
    """What half of the executions stayed within, and what nine of ten did."""

    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Spreads of `executions` past ones, by measure; none where there were none."""

    executions: int
    spreads: Mapping[str, Spread]


async def make_forecast(session: AsyncSession, task_id: UUID, user_id: UUID) -> Forecast:
    """The forecast from the user's own executions of a task, whatever version they ran."""
    found = await session.execute(FORECAST, {"task_id": task_id, "user_id": user_id})
    row = found.mappings().one()
    spreads = {
        name: Spread(round(float(row[name][0]), 6), round(float(row[name][1]), 6))
        for name in _MEASURES
        if row[name] is not None
    }
    return Forecast(row["executions"], spreads)
