"""Executions as the gateway stores them, with the script their model follows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from contracts.definitions import TaskDefinition
from contracts.names import workflow_id
from domain.events import Event
from domain.ids import new_id
from domain.states import PREREQUISITES, ExecutionStatus
from persistence.db.database import Database
from persistence.definitions import tasks
from persistence.executions import events, prerequisites, queries
from persistence.executions.creation import SESSION_BUSY
from persistence.executions.signals import SignalKind, append_signal
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
    """A task with this script and an execution of it, blocked where it waits or is to queue.

    `columns` are the execution row's own; what is left is the task's definition.
    """
    title = f"{title} {new_id()}"
    # No two prompts alike: the scripted model counts the faults of one and the same conversation.
    definition.setdefault("prompt_template", f"{title}\n\n{script(*turns)}")
    execution_id = new_id()
    async with database.transaction() as session:
        task = _task(user_id, title, tags)
        parsed = TaskDefinition.model_validate(definition)
        await tasks.create(session, task, parsed.model_dump(mode="json"))
        blocked_by = PREREQUISITES if waits_for else None
        if session_id is not None and not waits_for:
            await sessions.lock(session, session_id)
            is_busy = await queries.is_session_busy(session, session_id)
            blocked_by = SESSION_BUSY if is_busy else None
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
            **(columns or {}),
        )
        session.add(row)
        session.add_all(
            ExecutionTagRow(user_id=user_id, tag=tag, execution_id=row.id) for tag in set(row.tags)
        )
        await session.flush()
        await events.append(session, row.id, Event("execution.created", {"title": title}))
        await prerequisites.store(session, row.id, waits_for)
        if blocked_by is None:
            await append_signal(session, row.id, SignalKind.START)
    return row


def _task(user_id: UUID, name: str, tags: Sequence[str]) -> TaskRow:
    return TaskRow(
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
