"""The state of a user's queue, and the order in which its work can be done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, InvalidInputError
from domain.executions.states import ExecutionStatus
from domain.plans.graphs import order_in_batches
from persistence.executions import queue_state
from persistence.executions.queue_state import WorkCount
from persistence.tables.executions import ExecutionRow
from services.caller import Caller

MOST_PLANNED = 1_000
"""Executions of one execution plan (chosen)."""


@dataclass(frozen=True, slots=True)
class AgentQueue:
    """The work of one agent; None is the agent of work that names none."""

    agent_id: str | None
    counts: Mapping[ExecutionStatus, int]
    oldest_pending_at: datetime | None
    oldest_pending_seconds: float | None


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """All work of a user. The average is of the priorities of pending work.

    `total_is_capped`: of an agent and a status there is more than is counted.
    """

    total: int
    total_is_capped: bool
    counts: Mapping[ExecutionStatus, int]
    average_priority: float | None
    maximum_depth: int
    oldest_pending_at: datetime | None
    oldest_pending_seconds: float | None
    newest_at: datetime | None
    agents: Sequence[AgentQueue]


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    """Work in batches: what is in one batch can be done at the same time."""

    batches: Sequence[Sequence[ExecutionRow]]

    @property
    def max_parallelism(self) -> int:
        """The size of the largest batch."""
        return max((len(batch) for batch in self.batches), default=0)


async def read_status(session: AsyncSession, caller: Caller) -> QueueStatus:
    """The state of the caller's queue."""
    found = await queue_state.count_work(session, caller.user_id)
    pending = [one for one in found if one.status is ExecutionStatus.PENDING]
    slugs = dict.fromkeys(one.agent_id for one in found)
    waiting = sum(one.number for one in pending)
    total_priority = sum(one.average_priority * one.number for one in pending)
    return QueueStatus(
        total=sum(one.number for one in found),
        total_is_capped=any(one.is_capped for one in found),
        counts=_count(found),
        average_priority=round(total_priority / waiting, 2) if waiting else None,
        maximum_depth=max((one.deepest for one in found), default=0),
        oldest_pending_at=(oldest := _find_oldest(pending)),
        oldest_pending_seconds=_age(oldest),
        newest_at=await queue_state.find_newest(session, caller.user_id) if found else None,
        agents=[_describe(slug, [one for one in found if one.agent_id == slug]) for slug in slugs],
    )


def _describe(slug: str | None, found: Sequence[WorkCount]) -> AgentQueue:
    oldest = _find_oldest([one for one in found if one.status is ExecutionStatus.PENDING])
    return AgentQueue(slug, _count(found), oldest, _age(oldest))


def _count(found: Sequence[WorkCount]) -> Mapping[ExecutionStatus, int]:
    counts: dict[ExecutionStatus, int] = {}
    for one in found:
        counts[one.status] = counts.get(one.status, 0) + one.number
    return counts


def _find_oldest(pending: Sequence[WorkCount]) -> datetime | None:
    return min((one.oldest_at for one in pending), default=None)


def _age(at: datetime | None) -> float | None:
    return None if at is None else max(0.0, (datetime.now(UTC) - at).total_seconds())


async def plan_execution(
    session: AsyncSession, caller: Caller, ids: Sequence[UUID], *, field: str
) -> ExecutionPlan:
    """Order executions by their prerequisites; without ids, the caller's unfinished external work.

    Raises:
        InvalidInputError: the caller has no such execution; `field` names the ids.
    """
    if ids:
        rows = await queue_state.find_all(session, caller.user_id, ids)
        known = {row.id for row in rows}
        if unknown := [one for one in ids if one not in known]:
            hint = f"You have no execution {unknown[0]}."
            problem = FieldProblem(("query", field, ids.index(unknown[0])), hint, "unknown")
            raise InvalidInputError("The work can't be ordered; see errors.", [problem])
    else:
        rows = await queue_state.list_open(session, caller.user_id, limit=MOST_PLANNED)
    needed = await queue_state.list_prerequisites(session, [row.id for row in rows])
    by_id = {str(row.id): row for row in rows}
    dependencies = {key: [str(one) for one in needed[row.id]] for key, row in by_id.items()}
    batches = order_in_batches(dependencies, field=field)
    return ExecutionPlan([[by_id[key] for key in batch] for batch in batches])
