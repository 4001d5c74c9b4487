"""Usage: executions, tokens, cost and people's time, by day, task, model or user.

An execution counts on the day it ended (UTC), with all its usage; one that has not ended counts
today. Past days are summed once, in `usage_days`; the rest is summed when it is requested, by the
index on `completed_at`. Calls of the scripted model count without a cost: nothing was paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ACTIVE_STATUSES
from persistence.tables.ledger import UsageClosedDayRow, UsageDayRow, UserRow

CLOSING_LOCK = 0x7065726475726502
"""The advisory lock of closing a day ("perdure", 2)."""

SETTLING = timedelta(hours=1)
"""A day is closed this long after its end: far longer than a transaction takes (chosen)."""

MOST_GROUPS = 1_000
"""The groups of one result, the most expensive first (chosen); totals include all."""


class GroupBy(StrEnum):
    """The grouping of usage."""

    DAY = "day"
    TASK = "task"
    MODEL = "model"
    USER = "user"


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Filters: the user, the task, and the first and last day, both included."""

    since: date
    until: date
    user_id: UUID | None = None
    task_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """Sums over executions. An execution that has not ended counts in `executions` only."""

    executions: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    running_ms: int = 0
    human_wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """The sums of one day, task, model or user. Executions without a task have no key."""

    key: date | UUID | str | None
    name: str | None
    measures: Measures


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Groups (days in order, others the most expensive first) and the sums over all of them."""

    groups: Sequence[GroupUsage]
    totals: Measures
    is_capped: bool


_MEASURES = tuple(Measures.__slots__)
_SUMS = ", ".join(f"coalesce(sum({m}), 0) AS {m}" for m in _MEASURES)
_COUNTED = ", ".join(
    ["count(*) AS executions"]
    + [
        f"count(*) FILTER (WHERE status = '{s}') AS {s}"
        for s in ("completed", "failed", "cancelled")
    ]
)
_USED = ", ".join(f"sum({m}) AS {m}" for m in _MEASURES[4:])

_COLUMNS = """e.id, e.user_id, e.task_id, e.status, e.input_tokens, e.output_tokens,
    e.cache_read_tokens, e.cache_write_tokens, e.cost_usd - e.scripted_cost_usd AS cost_usd,
    e.running_ms"""

_WAITED = """
(SELECT coalesce(sum(extract(epoch FROM upper(span) - lower(span)) * 1000), 0) FROM (
    SELECT unnest(range_agg(tstzrange(r.created_at, greatest(r.created_at, least(
        coalesce(r.answered_at, CASE r.status WHEN 'expired' THEN r.due_at END,
            e.completed_at, now()),
        coalesce(e.completed_at, now())
    ))))) AS span
    FROM input_requests r WHERE r.execution_id = e.id
) AS spans) AS human_wait_ms
"""
"""The time in which at least one request of the execution was open."""

_TOKENS = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_tokens": ("cache_read_tokens",),
    "cache_write_tokens": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
}
_CALLED = ", ".join(
    f"sum({' + '.join(f'coalesce(CAST(c.usage ->> {k!r} AS bigint), 0)' for k in kinds)}) AS {name}"
    for name, kinds in _TOKENS.items()
)

_BY_MODEL = f"""
UNION ALL
SELECT day, user_id, task_id, model, {_COUNTED}, {_USED}
FROM (
    SELECT f.day, f.user_id, f.task_id, f.status, f.running_ms, f.human_wait_ms, c.model,
        {_CALLED}, coalesce(sum(c.cost_usd) FILTER (WHERE NOT c.is_scripted), 0) AS cost_usd
    FROM found f JOIN model_calls c ON c.execution_id = f.id
    GROUP BY f.id, f.day, f.user_id, f.task_id, f.status, f.running_ms, f.human_wait_ms, c.model
) AS called
GROUP BY day, user_id, task_id, model
"""  # noqa: S608 - columns of ours


def _sum_executions(*, where: str = "", with_open: bool, by_model: bool) -> str:
    """Executions by day, user and task, and with `by_model` also by model."""
    still_open = f"""
        UNION ALL
        SELECT {_COLUMNS}, CAST(:today AS date) AS day, {_WAITED}
        FROM executions e WHERE e.status IN {ACTIVE_STATUSES} {where}
    """  # noqa: S608 - columns of ours
    return f"""
    WITH found AS (
        SELECT {_COLUMNS}, CAST(e.completed_at AT TIME ZONE 'UTC' AS date) AS day, {_WAITED}
        FROM executions e
        WHERE e.completed_at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC'
            AND e.completed_at < CAST(CAST(:behind AS date) AS timestamp) AT TIME ZONE 'UTC' {where}
        {still_open if with_open else ""}
    )
    SELECT day, user_id, task_id, CAST(NULL AS text) AS model, {_COUNTED}, {_USED}
    FROM found GROUP BY day, user_id, task_id
    {_BY_MODEL if by_model else ""}
    """  # noqa: S608 - columns of ours


_CLOSE = text(f"""
INSERT INTO usage_days (day, user_id, task_id, model, {", ".join(_MEASURES)})
SELECT day, user_id, task_id, model, {", ".join(_MEASURES)}
FROM ({_sum_executions(with_open=False, by_model=True)}) AS summed
""")  # noqa: S608 - columns of ours


async def sum_usage(session: AsyncSession, group_by: GroupBy, narrowed: UsageFilter) -> UsageReport:
    """The filtered usage, grouped."""
    today = datetime.now(UTC).date()
    closed = await session.scalar(select(func.max(UsageClosedDayRow.day)))
    first_open = narrowed.since if closed is None else max(narrowed.since, _next(closed))
    parameters: dict[str, Any] = {
        "since": narrowed.since,
        "until": narrowed.until,
        "first": first_open,
        "behind": max(first_open, _next(min(narrowed.until, today))),  # nothing ends later
        "today": today,
        "user_id": narrowed.user_id,
        "task_id": narrowed.task_id,
    }
    with_open = narrowed.since <= today <= narrowed.until
    statement = _statement(group_by, narrowed, with_open=with_open)
    given = {name: parameters[name] for name in statement.compile().params}
    rows = (await session.execute(statement, given)).all()
    groups = [row for row in rows if not row.is_total]
    totals = [_measures(row) for row in rows if row.is_total]
    return UsageReport(
        groups=await _with_names(session, group_by, groups[:MOST_GROUPS]),
        totals=totals[0] if totals else Measures(),
        is_capped=len(groups) > MOST_GROUPS,
    )


async def close_next_day(session: AsyncSession, now: datetime) -> date | None:
    """Sum the oldest past day that is open; None if there is none, or another process does it."""
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(CLOSING_LOCK))):
        return None
    closed = await session.scalar(select(func.max(UsageClosedDayRow.day)))
    day = _next(closed) if closed else await session.scalar(_FIRST_DAY)
    if day is None or (now - SETTLING).astimezone(UTC).date() <= day:
        return None
    await session.execute(_CLOSE, {"first": day, "behind": _next(day)})
    session.add(UsageClosedDayRow(day=day))
    await session.flush()
    return day


_FIRST_DAY = text("""
SELECT CAST(min(completed_at) AT TIME ZONE 'UTC' AS date) FROM executions
WHERE completed_at IS NOT NULL
""")

_KEYS = {
    GroupBy.DAY: UsageDayRow.day.key,
    GroupBy.TASK: UsageDayRow.task_id.key,
    GroupBy.MODEL: UsageDayRow.model.key,
    GroupBy.USER: UsageDayRow.user_id.key,
}


def _statement(group_by: GroupBy, narrowed: UsageFilter, *, with_open: bool) -> TextClause:
    """Sums by key, and over everything."""
    by_model = group_by is GroupBy.MODEL
    chosen = [name for name in ("user_id", "task_id") if getattr(narrowed, name) is not None]
    live = _sum_executions(
        where="".join(f" AND e.{name} = :{name}" for name in chosen),
        with_open=with_open,
        by_model=by_model,
    )
    stored = "".join(f" AND {name} = :{name}" for name in chosen)
    key = _KEYS[group_by]
    # Rows for all models have no model: by model, the group without a key is the total.
    of_all_models = "" if by_model else " AND model IS NULL"
    is_total, grouped = (
        ("model IS NULL", "model")
        if by_model
        else (f"GROUPING({key}) = 1", f"GROUPING SETS (({key}), ())")
    )
    order = "key" if group_by is GroupBy.DAY else "cost_usd DESC, executions DESC, key"
    return text(f"""
    SELECT {key} AS key, {is_total} AS is_total, {_SUMS} FROM (
        SELECT day, user_id, task_id, model, {", ".join(_MEASURES)} FROM usage_days
        WHERE day >= :since AND day <= :until{stored}{of_all_models}
        UNION ALL
        SELECT * FROM ({live}) AS live
    ) AS measured
    GROUP BY {grouped} ORDER BY is_total DESC, {order} LIMIT {MOST_GROUPS + 2}
    """)  # noqa: S608 - columns of ours


async def _with_names(
    session: AsyncSession, group_by: GroupBy, rows: Sequence[Row[Any]]
) -> Sequence[GroupUsage]:
    names: Mapping[Any, str] = {}
    keys = [row.key for row in rows if row.key is not None]
    if group_by is GroupBy.TASK:
        found = await session.execute(select(TaskRow.id, TaskRow.name).where(TaskRow.id.in_(keys)))
        names = {row.id: row.name for row in found}
    elif group_by is GroupBy.USER:
        users = select(UserRow.id, UserRow.subject).where(UserRow.id.in_(keys))
        names = {row.id: row.subject for row in await session.execute(users)}
    return [GroupUsage(row.key, names.get(row.key), _measures(row)) for row in rows]


def _measures(row: Row[Any]) -> Measures:
    values = {name: getattr(row, name) for name in _MEASURES}
    cost = values.pop("cost_usd")
    return Measures(**{name: int(value) for name, value in values.items()}, cost_usd=cost)


def _next(day: date) -> date:
    return day + timedelta(days=1)
