"""Reads and lists executions. The loop writes them through the step log."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from domain.errors import NotFoundError
from domain.executions.states import (
    ACTIVE,
    PREREQUISITES,
    TERMINAL,
    WORKER_BLOCKED,
    ExecutionStatus,
)
from domain.plans.plan import PLAN, STEP_TRIGGER
from persistence.db.paging import Page, Window, created_between, matching, newest, owned_by
from persistence.tables.executions import ExecutionRow, ExecutionTagRow, PrefixRow
from persistence.tables.sessions import InputRequestRow

UNFINISHED = frozenset(ExecutionStatus) - TERMINAL
"""A list of statuses, so that the index on the status is used."""

STARTING = timedelta(minutes=1)
"""The workflow of a younger execution may not have been started yet (chosen)."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Filters for a list of executions; `created_to` is excluded."""

    statuses: Sequence[str] = ()
    task_id: UUID | None = None
    agent_id: str | None = None
    trigger_type: str | None = None
    parent_id: UUID | None = None
    tag: str | None = None
    session_id: UUID | None = None
    executor: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


async def find(session: AsyncSession, execution_id: UUID) -> ExecutionRow | None:
    """The execution, without a lock."""
    return await session.get(ExecutionRow, execution_id)


async def uses_mcp_servers(session: AsyncSession, execution_id: UUID) -> bool:
    """Whether the model input of the execution has, or is to get, tools of MCP servers."""
    body = await session.scalar(
        select(PrefixRow.body)
        .join(ExecutionRow, ExecutionRow.prefix_sha256 == PrefixRow.sha256)
        .where(ExecutionRow.id == execution_id)
    )
    return body is not None and "mcp" in json.loads(body)


async def find_titles(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The titles of these executions."""
    found = await session.execute(
        select(ExecutionRow.id, ExecutionRow.title).where(ExecutionRow.id.in_(ids))
    )
    return {row.id: row.title for row in found}


def select_tree(root: UUID) -> Select[tuple[UUID]]:
    """The ids of an execution and all its subtasks, at any depth."""
    tree = select(ExecutionRow.id).where(ExecutionRow.id == root).cte("tree", recursive=True)
    tree = tree.union_all(
        select(ExecutionRow.id).join(tree, ExecutionRow.parent_execution_id == tree.c.id)
    )
    return select(tree.c.id)


def select_line(leaf: UUID) -> Select[tuple[UUID]]:
    """The ids of an execution and of those that it is a subtask of, at any depth."""
    columns = select(ExecutionRow.id, ExecutionRow.parent_execution_id)
    line = columns.where(ExecutionRow.id == leaf).cte("line", recursive=True)
    line = line.union_all(columns.join(line, ExecutionRow.id == line.c.parent_execution_id))
    return select(line.c.id)


async def lock(session: AsyncSession, execution_id: UUID) -> ExecutionRow | None:
    """The execution with its row lock: neither the loop nor another request changes it meanwhile.

    Other rows can refer to it meanwhile.
    """
    return await session.get(
        ExecutionRow, execution_id, with_for_update={"key_share": True}, populate_existing=True
    )


async def lock_requested(session: AsyncSession, request_ids: Sequence[UUID]) -> None:
    """Lock the executions of these input requests, the older ones first (`db/locks.py`)."""
    of_requests = select(InputRequestRow.execution_id).where(InputRequestRow.id.in_(request_ids))
    await session.execute(
        select(ExecutionRow.id)
        .where(ExecutionRow.id.in_(of_requests))
        .order_by(ExecutionRow.id)
        .with_for_update(key_share=True)
    )


async def lock_existing(session: AsyncSession, execution_id: UUID) -> ExecutionRow:
    """As `lock`.

    Raises:
        NotFoundError: there is no such execution.
    """
    row = await lock(session, execution_id)
    if row is None:
        raise NotFoundError(f"There is no execution {execution_id}.")
    return row


async def lock_last_of_session(session: AsyncSession, session_id: UUID) -> ExecutionRow | None:
    """As `lock`, the last execution of a locked session that has not ended, or else its last one.

    One that waits for its prerequisites does not count, as in `is_session_busy`.
    """
    execution_id = await session.scalar(
        select(ExecutionRow.id)
        .where(
            ExecutionRow.session_id == session_id,
            ExecutionRow.status_reason.is_distinct_from(PREREQUISITES),
        )
        .order_by(ExecutionRow.status.in_(TERMINAL), ExecutionRow.id.desc())
        .limit(1)
    )
    return None if execution_id is None else await lock(session, execution_id)


async def is_session_busy(session: AsyncSession, session_id: UUID) -> bool:
    """Whether the locked session has an execution that has not ended.

    One that waits for its prerequisites does not count: it queues when they are completed.
    """
    unfinished = exists().where(
        ExecutionRow.session_id == session_id,
        ExecutionRow.status.in_(UNFINISHED),
        ExecutionRow.status_reason.is_distinct_from(PREREQUISITES),
    )
    return bool(await session.scalar(select(unfinished)))


async def list_unfinished(
    session: AsyncSession, session_id: UUID, *, limit: int
) -> Sequence[ExecutionRow]:
    """The executions of a locked session that have not ended, oldest first."""
    rows = await session.scalars(
        select(ExecutionRow)
        .where(ExecutionRow.session_id == session_id, ExecutionRow.status.in_(UNFINISHED))
        .order_by(ExecutionRow.id)
        .limit(limit)
    )
    return rows.all()


async def page(
    session: AsyncSession, user_id: UUID | None, narrowed: ExecutionFilter, window: Window
) -> Page[ExecutionRow]:
    """The user's executions, or those of all users.

    With a tag, the tag's own index is used, which is in order.
    """
    listed = ExecutionRow.id if narrowed.tag is None else ExecutionTagRow.execution_id
    conditions = _conditions(narrowed, listed)
    if narrowed.tag is None:
        own = and_(true(), *owned_by(ExecutionRow.user_id, user_id), *conditions)
    else:
        own = _has_tag(user_id, narrowed.tag)
        if conditions or narrowed.statuses:
            own = and_(own, ExecutionRow.id == listed, *conditions)
    # A branch for each status: only then an index has the order of the list.
    branches = [and_(own, ExecutionRow.status == s) for s in dict.fromkeys(narrowed.statuses)]
    return await newest(
        session, ExecutionRow, ExecutionRow.id, branches or [own], window, listed=listed
    )


async def list_cancellable(
    session: AsyncSession, user_id: UUID, narrowed: ExecutionFilter, *, limit: int
) -> Sequence[UUID]:
    """The user's executions that have not ended and whose cancellation was not requested.

    The oldest come first.
    """
    is_live = (ExecutionRow.status.in_(UNFINISHED), ExecutionRow.cancel_requested_at.is_(None))
    return await _find_ids(session, user_id, narrowed, is_live, limit=limit)


async def list_retryable(
    session: AsyncSession, user_id: UUID, narrowed: ExecutionFilter, *, limit: int
) -> Sequence[UUID]:
    """The user's executions that have ended and have no retry yet, oldest first.

    Subtasks are left out: they are retried with their parent. Plans and their steps are retried by
    `services.plans.retrying`.
    """
    retry = aliased(ExecutionRow)
    is_over = (
        ExecutionRow.status.in_(TERMINAL),
        ExecutionRow.parent_tool_call_id.is_(None),
        ExecutionRow.executor != PLAN,
        ExecutionRow.trigger_type != STEP_TRIGGER,
        ~exists().where(retry.retry_of_id == ExecutionRow.id),
    )
    return await _find_ids(session, user_id, narrowed, is_over, limit=limit)


async def _find_ids(
    session: AsyncSession,
    user_id: UUID,
    narrowed: ExecutionFilter,
    more: Sequence[ColumnElement[bool]],
    *,
    limit: int,
) -> Sequence[UUID]:
    conditions = [
        ExecutionRow.user_id == user_id,
        *_conditions(narrowed, ExecutionRow.id),
        *more,
    ]
    if narrowed.tag is not None:
        tagged = select(ExecutionTagRow.execution_id).where(_has_tag(user_id, narrowed.tag))
        conditions.append(ExecutionRow.id.in_(tagged))
    if narrowed.statuses:
        conditions.append(ExecutionRow.status.in_(narrowed.statuses))
    ids = select(ExecutionRow.id).where(*conditions).order_by(ExecutionRow.id).limit(limit)
    return (await session.scalars(ids)).all()


def _conditions(
    narrowed: ExecutionFilter, listed: InstrumentedAttribute[UUID]
) -> list[ColumnElement[bool]]:
    """All filters except status and tag; `listed` is the id whose index is used."""
    columns = {
        "task_id": narrowed.task_id,
        "agent_id": narrowed.agent_id,
        "trigger_type": narrowed.trigger_type,
        "parent_execution_id": narrowed.parent_id,
        "session_id": narrowed.session_id,
        "executor": narrowed.executor,
    }
    since, until = narrowed.created_from, narrowed.created_to
    return [
        *matching(ExecutionRow, columns),
        *created_between(listed, ExecutionRow.created_at, since, until),
    ]


def _has_tag(user_id: UUID | None, tag: str) -> ColumnElement[bool]:
    return and_(*owned_by(ExecutionTagRow.user_id, user_id), ExecutionTagRow.tag == tag)


async def list_active(
    session: AsyncSession, last: UUID | None, *, limit: int
) -> Sequence[ExecutionRow]:
    """Executions that should have a workflow, by id, after `last`."""
    query = select(ExecutionRow).where(
        ExecutionRow.status.in_([status.value for status in sorted(ACTIVE)]),
        ExecutionRow.created_at < datetime.now(UTC) - STARTING,
    )
    if last is not None:
        query = query.where(ExecutionRow.id > last)
    return (await session.scalars(query.order_by(ExecutionRow.id).limit(limit))).all()


async def list_overdue(session: AsyncSession, *, limit: int) -> Sequence[UUID]:
    """Blocked executions whose deadline has passed, the longest overdue first.

    One that its worker blocked has a workflow, which ends it.
    """
    found = await session.scalars(
        select(ExecutionRow.id)
        # A literal, so that the planner recognises the partial index.
        .where(ExecutionRow.status == literal_column("'blocked'"))
        .where(ExecutionRow.deadline_at <= func.now())
        .where(ExecutionRow.status_reason.is_distinct_from(WORKER_BLOCKED))
        .order_by(ExecutionRow.deadline_at)
        .limit(limit)
    )
    return found.all()
