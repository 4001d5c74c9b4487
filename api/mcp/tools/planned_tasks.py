"""Planned work as the results of the orchestrator's tools contain it: a task is an execution."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.mcp.registry import ToolArguments, ToolResult
from api.mcp.views import View
from domain.executions.external_work import ArtifactReference
from domain.executions.states import ExecutionStatus
from persistence.executions.planned_work import ChildProgress
from persistence.tables.executions import ExecutionRow

PLAN = "orchestrator_plan_task"
EXECUTE = "orchestrator_execute_task"
COMPLETE = "orchestrator_complete_task"


class OwnArguments(ToolArguments):
    """Arguments with the user, who is the one of the connection; the server checks that."""

    user_id: Annotated[
        str | None,
        Field(max_length=255, description="Leave it out; it must be the connected user."),
    ] = None


class TaskArguments(OwnArguments):
    """Which task."""

    task_id: UUID


class OrchestratorResult(ToolResult):
    """Base of the results: `success` is true; failed calls are errors."""

    success: bool = True


class ArtifactReferenceView(View):
    """A stored file; get_artifact returns its content."""

    id: UUID
    name: str
    type: str
    size: int


class ProgressView(View):
    """How many parts of a task are completed."""

    completed: int
    total: int
    percent: int


class PlannedTask(View):
    """A task of the orchestrator: work for you or another worker."""

    task_id: UUID
    title: str
    description: str | None
    status: ExecutionStatus
    status_reason: str | None
    specialist_type: str | None
    complexity: str | None
    estimated_effort: str | None
    due_date: str | None
    context: dict[str, Any]
    parent_task_id: UUID | None
    summary: str | None
    error_message: str | None
    claimed_by: str | None
    lease_expires_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    artifact_references: list[ArtifactReferenceView]


def view_task(row: ExecutionRow, files: Sequence[ArtifactReference] = ()) -> PlannedTask:
    """A task from its execution."""
    return PlannedTask(
        **describe_task(row), artifact_references=[view_reference(file) for file in files]
    )


def describe_task(row: ExecutionRow) -> dict[str, Any]:
    """The fields of a task without its files."""
    known: Mapping[str, Any] = row.trigger_metadata
    context = known.get("context")
    copied = ("title", "status", "status_reason", "summary", "error_message", "claimed_by")
    times = ("lease_expires_at", "created_at", "started_at", "completed_at")
    return {
        "task_id": row.id,
        "description": row.rendered_prompt or _text(known, "description"),
        "specialist_type": _text(known, "specialist_type") or row.agent_id,
        "complexity": _text(known, "complexity"),
        "estimated_effort": _text(known, "estimated_effort"),
        "due_date": _text(known, "due_date"),
        "context": context if isinstance(context, dict) else {},
        "parent_task_id": row.parent_execution_id,
        **{name: getattr(row, name) for name in (*copied, *times)},
    }


def _text(known: Mapping[str, Any], key: str) -> str | None:
    value = known.get(key)
    return value if isinstance(value, str) else None


def view_reference(file: ArtifactReference) -> ArtifactReferenceView:
    """A stored file."""
    return ArtifactReferenceView(id=file.id, name=file.name, type=file.type, size=file.size)


def view_progress(progress: ChildProgress | None) -> ProgressView | None:
    """The progress of a task with parts; None if it has none."""
    if progress is None or progress.total == 0:
        return None
    return ProgressView(
        completed=progress.completed, total=progress.total, percent=progress.percent
    )
