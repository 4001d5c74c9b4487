"""What an execution cost: in total, by turn and by model."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.report_facts import Cost, ModelCost, TokenCounts, TurnUsage
from domain.executions.steps import CallStatus
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ModelCallRow

SUBTASK_COST = text("""
WITH RECURSIVE descendants AS (
    SELECT id, cost_usd FROM executions WHERE parent_execution_id = :id
    UNION ALL
    SELECT e.id, e.cost_usd
    FROM executions e JOIN descendants ON e.parent_execution_id = descendants.id
)
SELECT coalesce(sum(cost_usd), 0) FROM descendants
""")
"""The cost of an execution's subtasks and of all their subtasks."""

ZERO = Decimal(0)

IS_OPEN = ModelCallRow.status == CallStatus.INTENDED
CHARGED: ColumnElement[Decimal] = func.coalesce(
    case((IS_OPEN, ModelCallRow.estimate_usd), else_=ModelCallRow.cost_usd), ZERO
)
"""What a call costs: its estimate while it is open, as the end of the execution will charge it."""


async def read_cost(session: AsyncSession, row: ExecutionRow, budget_usd: Decimal | None) -> Cost:
    """The cost of all calls, with the estimated and the superseded ones."""
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
        total_usd=row.cost_usd + (sums.open or ZERO),
        budget_usd=budget_usd,
        estimated_usd=sums.estimated or ZERO,
        superseded_usd=sums.superseded or ZERO,
        subtasks_usd=await session.scalar(SUBTASK_COST, {"id": row.id}) or ZERO,
        by_model=await _sum_costs_by_model(session, row.id),
    )


def _sum(*kinds: str) -> ColumnElement[int]:
    """The sum of these fields of the calls' usage."""
    fields = [
        func.coalesce(cast(ModelCallRow.usage.op("->>")(kind), BigInteger), 0) for kind in kinds
    ]
    return cast(func.coalesce(func.sum(sum(fields[1:], fields[0])), 0), BigInteger)


_TOKENS = (
    _sum("input_tokens").label("input"),
    _sum("output_tokens").label("output"),
    _sum("cache_read_tokens").label("cache_read"),
    _sum("cache_write_5m_tokens", "cache_write_1h_tokens").label("cache_write"),
)


def _tokens(row: Any) -> TokenCounts:
    return TokenCounts(**{column.name: getattr(row, column.name) for column in _TOKENS})


async def read_turn_usage(session: AsyncSession, execution_id: UUID) -> Sequence[TurnUsage]:
    """What each current turn used in all of its tries, in order."""
    is_answered = ModelCallRow.status == CallStatus.SUCCEEDED
    message_seq = func.max(ModelCallRow.last_message_seq + 1).filter(is_answered)
    rows = await session.execute(
        select(
            ModelCallRow.turn,
            message_seq.label("message_seq"),
            func.sum(CHARGED).label("cost_usd"),
            *_TOKENS,
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


async def _sum_costs_by_model(session: AsyncSession, execution_id: UUID) -> tuple[ModelCost, ...]:
    charged = func.sum(CHARGED)
    rows = await session.execute(
        select(
            ModelCallRow.model,
            func.count().label("calls"),
            charged.label("cost_usd"),
            *_TOKENS,
        )
        .where(ModelCallRow.execution_id == execution_id)
        .group_by(ModelCallRow.model)
        .order_by(charged.desc(), ModelCallRow.model)
    )
    return tuple(
        ModelCost(model=row.model, calls=row.calls, cost_usd=row.cost_usd, tokens=_tokens(row))
        for row in rows
    )
