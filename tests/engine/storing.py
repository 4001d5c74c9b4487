"""Executions as the gateway stores them, with the script their model follows."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.names import workflow_id
from definitions.tasks import TaskDefinition
from domain.events import Event
from domain.ids import new_id
from domain.states import PREREQUISITES, ExecutionStatus
from persistence.db.database import Database
from persistence.definitions import tasks
from persistence.executions import events, prerequisites, queries
from persistence.executions.creation import SESSION_BUSY
from persistence.executions.signals import SignalKind, append_signal
from persistence.ledger import budgets
from persistence.sessions import sessions
from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ExecutionRow, ExecutionTagRow

Turn = Mapping[str, Any]


def script(*turns: Turn, indent: str = "") -> str:
    """A prompt that carries a script; JSON is YAML."""
    lines = ["```script", *(f"- {json.dumps(turn)}" for turn in turns), "```"]
    return "\n".join(indent + line for line in lines)


def use(tool: str, **tool_input: Any) -> dict[str, Any]:
    """One tool call of a scripted turn."""
    return {"name": tool, "input": tool_input}


async def store(
    database: Database,
    user_id: UUID,
    turns: Sequence[Turn],
    *,
    session_id: UUID | None = None,
    waits_for: Sequence[UUID] = (),
    variables: Mapping[str, Any] | None = None,
    title: str = "task",
    tags: Sequence[str] = ("tests",),
    columns: Mapping[str, Any] | None = None,
    **definition: Any,
) -> ExecutionRow:
    """Store a task with this script and an execution of it, blocked if it has to wait.

    `columns` are fields of the execution row; the other keywords define the task.
    """
    title = f"{title} {new_id()}"
    # Each prompt is unique: the scripted model counts its faults for each conversation.
    definition.setdefault("prompt_template", f"{title}\n\n{script(*turns)}")
    execution_id = new_id()
    columns = {"budget_usd": _budget_of(definition), **(columns or {})}
    async with database.transaction() as session:
        task = await _create_task(session, user_id, title, tags, definition)
        blocked_by = await _block_reason(session, session_id, waits_for)
        row = ExecutionRow(
            id=execution_id,
            user_id=user_id,
            task_id=task.id,
            task_version=1,
            session_id=session_id,
            title=title,
            tags=list(tags),
            trigger_type="manual",
            prompt_variables=dict(variables or {}),
            status=ExecutionStatus.BLOCKED if blocked_by else ExecutionStatus.PENDING,
            status_reason=blocked_by,
            priority=5,
            workflow_id=workflow_id(execution_id),
            **columns,
        )
        session.add(row)
        session.add_all(
            ExecutionTagRow(user_id=user_id, tag=tag, execution_id=row.id) for tag in set(row.tags)
        )
        await session.flush()
        await budgets.open_account(
            session,
            row.id,
            parent_id=row.parent_execution_id,
            has_budget=row.budget_usd is not None,
        )
        await events.append(session, row.id, Event("execution.created", {"title": title}))
        await prerequisites.store(session, row.id, waits_for)
        if blocked_by is None:
            await append_signal(session, row.id, SignalKind.START)
    return row


def _budget_of(definition: Mapping[str, Any]) -> Decimal | None:
    return TaskDefinition.model_validate(definition).sdk_options.max_budget_usd


async def _block_reason(
    session: AsyncSession, session_id: UUID | None, waits_for: Sequence[UUID]
) -> str | None:
    """Why an execution can't start yet; locks its session."""
    if waits_for:
        return PREREQUISITES
    if session_id is None:
        return None
    await sessions.lock(session, session_id)
    return SESSION_BUSY if await queries.is_session_busy(session, session_id) else None


async def _create_task(
    session: AsyncSession,
    user_id: UUID,
    name: str,
    tags: Sequence[str],
    definition: Mapping[str, Any],
) -> TaskRow:
    task = TaskRow(
        user_id=user_id,
        name=name,
        tags=list(tags),
        is_public=False,
        is_active=True,
        is_scheduled=False,
        schedule_timezone="UTC",
        schedule_enabled=False,
        schedule_overlap_policy="skip",
    )
    parsed = TaskDefinition.model_validate(definition)
    await tasks.create(session, task, parsed.model_dump(mode="json"))
    return task
