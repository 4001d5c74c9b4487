"""Executions as the gateway stores them, with the script their model follows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.executions.states import PREREQUISITES
from domain.ids import new_id
from persistence.db.database import Database
from persistence.definitions import tasks
from persistence.definitions.tasks import StoredTask
from persistence.executions import creation, prerequisites, queries
from persistence.executions.creation import SESSION_BUSY, Start
from persistence.ledger.audit import Actor
from persistence.sessions import sessions
from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ExecutionRow
from services.scheduling.variables import work_of

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
    columns = dict(columns or {})
    parent_id = columns.pop("parent_execution_id", None)
    async with database.transaction() as session:
        start = Start(
            work=work_of(await _create_task(session, user_id, title, tags, definition)),
            user_id=user_id,
            actor=Actor(user_id),
            trigger_type="manual",
            variables=variables or {},
            session_id=session_id,
            prerequisites=waits_for,
            budget_usd=columns.pop("budget_usd", None),
            parent=await session.get_one(ExecutionRow, parent_id) if parent_id else None,
        )
        blocked_by = await _block_reason(session, session_id, waits_for)
        row = await creation.store(session, start, blocked_by=blocked_by)
        for name, value in columns.items():
            setattr(row, name, value)
        await prerequisites.store(session, row.id, waits_for)
    return row


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
) -> StoredTask:
    row = TaskRow(
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
    return await tasks.create(session, row, parsed.model_dump(mode="json"))
