"""What an execution cost, over all of its calls."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.report_facts import Cost, ModelCost, TokenCounts, TurnUsage
from domain.steps import CallStatus
from persistence.tables.executions import ExecutionRow
from persistence.tables.model_calls import ModelCallRow

COST_BELOW = text("""
WITH RECURSIVE below AS (
    SELECT id, cost_usd FROM executions WHERE parent_execution_id = :id
    UNION ALL
    SELECT e.id, e.cost_usd FROM executions e JOIN below ON e.parent_execution_id = below.id
)
SELECT coalesce(sum(cost_usd), 0) FROM below
""")
"""What the subtasks of an execution, and theirs, have cost."""

NONE = Decimal(0)

IS_OPEN = ModelCallRow.status == CallStatus.INTENDED
CHARGED: ColumnElement[Decimal] = func.coalesce(
    case((IS_OPEN, ModelCallRow.estimate_usd), else_=ModelCallRow.cost_usd), NONE
)
"""What a call costs; one that is still open costs its estimate, as `finish` will charge it."""


async def cost_of(session: AsyncSession, row: ExecutionRow, budget_usd: Decimal | None) -> Cost:
    """What was spent, estimates and superseded steps included."""
    is_estimated = IS_OPEN | ModelCallRow.usage_estimated
    is_superseded = ModelCallRow.superseded_at.is_not(None)
    sums = (
        await session.execute(
            select(
                func.sum(CHARGED).filter(IS_OPEN).label("open"),
                func.sum(CHARGED).filter(is_estimated).label("estimated"),
                func.sum(CHARGED).filter(is_superseded).label("superseded"),
            ).where(ModelCallRow.execution_id == row.id)
        )
    ).one()
    return Cost(
        total_usd=row.cost_usd + (sums.open or NONE),
        budget_usd=budget_usd,
        estimated_usd=sums.estimated or NONE,
        superseded_usd=sums.superseded or NONE,
        subtasks_usd=await session.scalar(COST_BELOW, {"id": row.id}) or NONE,
        by_model=await _by_model(session, row.id),
    )


def _used(*kinds: str) -> ColumnElement[int]:
    """The sum of these fields of the calls' usage."""
    fields = [
        func.coalesce(cast(ModelCallRow.usage.op("->>")(kind), BigInteger), 0) for kind in kinds
    ]
    return cast(func.coalesce(func.sum(sum(fields[1:], fields[0])), 0), BigInteger)


_USED = (
    _used("input_tokens").label("input"),
    _used("output_tokens").label("output"),
    _used("cache_read_tokens").label("cache_read"),
    _used("cache_write_5m_tokens", "cache_write_1h_tokens").label("cache_write"),
    func.sum(CHARGED).label("cost_usd"),
)


async def spending_of(session: AsyncSession, execution_id: UUID) -> Sequence[TurnUsage]:
    """What each live turn used, all of its tries, in order."""
    answered = ModelCallRow.status == CallStatus.SUCCEEDED
    rows = await session.execute(
        select(
            ModelCallRow.turn,
            func.max(ModelCallRow.last_message_seq + 1).filter(answered).label("message_seq"),
            *_USED,
        )
        .where(ModelCallRow.execution_id == execution_id, ModelCallRow.superseded_at.is_(None))
        .group_by(ModelCallRow.turn)
        .order_by(ModelCallRow.turn)
    )
    return [
        TurnUsage(
            first=row.turn,
            last=row.turn,
            tokens=_tokens(row),
            cost_usd=row.cost_usd,
            message_seq=row.message_seq,
        )
        for row in rows
    ]


async def _by_model(session: AsyncSession, execution_id: UUID) -> tuple[ModelCost, ...]:
    rows = await session.execute(
        select(
            ModelCallRow.model,
            func.count().label("calls"),
            *_USED,
        )
        .where(ModelCallRow.execution_id == execution_id)
        .group_by(ModelCallRow.model)
        .order_by(func.sum(CHARGED).desc(), ModelCallRow.model)
    )
    return tuple(
        ModelCost(
            model=row.model,
            calls=row.calls,
            cost_usd=row.cost_usd,
            tokens=_tokens(row),
        )
        for row in rows
    )


def _tokens(row: Any) -> TokenCounts:
    return TokenCounts(
        input=row.input,
        output=row.output,
        cache_read=row.cache_read,
        cache_write=row.cache_write,
    )
