"""Tools with which an agent claims planned work and reports the result."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool
from api.mcp.tools.planned_tasks import (
    COMPLETE,
    EXECUTE,
    ArtifactReferenceView,
    OrchestratorResult,
    PlannedTask,
    ProgressView,
    TaskArguments,
    describe_task,
    view_progress,
    view_reference,
    view_task,
)
from api.queue.schemas import explain_late
from domain.errors import NotClaimableError
from domain.executions.external_work import NextAction
from domain.executions.states import PREREQUISITES, ExecutionStatus
from persistence.executions import planned_work
from persistence.executions.planned_work import ChildProgress
from persistence.tables.executions import ExecutionRow
from services.executions.access import get_own_execution
from services.external_work import claims, reports
from services.external_work.context import make_reference
from services.external_work.inputs import ArtifactType, ClaimBody, CompleteBody, FilePath, Summary

LEASE_SECONDS = 24 * 3600
"""Agents send no heartbeats: work without a report counts as stale after a day (chosen)."""


class ReadyTask(OrchestratorResult):
    """A claimed task with all that is needed to do it."""

    status: Literal["ready_for_execution"]
    task_id: UUID
    task_title: str
    task_description: str
    specialist_type: str | None
    specialist_context: Annotated[str, Field(description="Your role and the task, as Markdown.")]
    specialist_prompts: list[str]
    execution_instructions: list[str]
    dependencies_completed: list[UUID]
    dependency_results: list[str]
    dependency_artifacts: list[ArtifactReferenceView]
    existing_artifacts: list[ArtifactReferenceView]
    estimated_effort: str | None
    next_steps: list[str]
    lease_token: UUID
    lease_expires_at: datetime | None


async def _execute_task(context: ToolContext, arguments: TaskArguments) -> ReadyTask:
    body = ClaimBody(lease_seconds=LEASE_SECONDS)
    await _refuse_open_prerequisites(context, arguments.task_id)
    async with context.transaction() as work:
        claim = await claims.claim_or_extend(work, arguments.task_id, body)
        row, described = claim.row, claim.context
        known = describe_task(row)
        prompts = [described.agent.system_prompt] if described.agent else []
        done = described.prerequisites
        return ReadyTask(
            status="ready_for_execution",
            task_id=row.id,
            task_title=row.title,
            task_description=described.prompt,
            specialist_type=known["specialist_type"],
            specialist_context=described.render(),
            specialist_prompts=prompts,
            execution_instructions=list(described.instructions()),
            dependencies_completed=[one.execution_id for one in done],
            dependency_results=[f"{one.title}: {one.summary or one.text or ''}" for one in done],
            dependency_artifacts=[view_reference(f) for one in done for f in one.artifacts],
            existing_artifacts=[view_reference(file) for file in described.artifacts],
            estimated_effort=known["estimated_effort"],
            next_steps=[f"Do the work, then report it with {COMPLETE}."],
            lease_token=claim.lease_token,
            lease_expires_at=row.lease_expires_at,
            next_step=f"Work as specialist_context describes. Then call {COMPLETE} once.",
        )


async def _refuse_open_prerequisites(context: ToolContext, task_id: UUID) -> None:
    """Name the tasks that a blocked task waits for.

    Raises:
        NotClaimableError: there are some.
    """
    async with context.reading() as session:
        row = await get_own_execution(session, context.caller, task_id)
        if row.status != ExecutionStatus.BLOCKED or row.status_reason != PREREQUISITES:
            return
        waiting = await planned_work.list_open_prerequisites(session, task_id)
    listed = ", ".join(f"{other.title!r} ({other.id}, {other.status})" for other in waiting[:5])
    raise NotClaimableError(f"This task waits for other tasks: {listed}. Complete them first.")


class CompleteTaskArguments(TaskArguments):
    """The report of a worker."""

    summary: Annotated[Summary, Field(min_length=1, description="At most 200 characters.")]
    detailed_work: Annotated[
        str, Field(min_length=1, description="The whole result; it is stored as an artifact.")
    ]
    next_action: Annotated[
        NextAction,
        Field(
            description="complete: it is done. continue: you keep it. needs_revision: it returns "
            "to the queue. blocked: it waits until a person has acted."
        ),
    ]
    file_paths: Annotated[tuple[FilePath, ...], Field(description="Files you changed.")] = ()
    artifact_type: ArtifactType = "artifact"
    lease_token: Annotated[
        UUID | None, Field(description=f"From {EXECUTE}; without it, the task must be yours.")
    ] = None


class CompletedTask(OrchestratorResult):
    """What was stored, and what follows."""

    task_id: UUID
    status: ExecutionStatus
    status_reason: str | None
    summary: str | None
    artifact_references: list[ArtifactReferenceView]
    next_action: NextAction
    completion_time: datetime | None
    next_steps: list[str]
    parent_progress: ProgressView | None
    next_recommended_task: PlannedTask | None


async def _complete_task(context: ToolContext, arguments: CompleteTaskArguments) -> CompletedTask:
    async with context.reading() as session:
        row = await get_own_execution(session, context.caller, arguments.task_id)
    token = arguments.lease_token or _find_own_lease(context, row)
    given = arguments.model_dump(exclude={"task_id", "user_id", "lease_token"})
    body = CompleteBody(lease_token=token, **given)
    await reports.store_detailed_work(context.call.services, context.caller, row.id, body)
    async with context.transaction() as work:
        done = await reports.complete(work, arguments.task_id, body)
    kept = [make_reference(file) for file in done.artifacts]
    if done.refusal is not None:  # after the commit, which keeps the artifacts
        raise explain_late(done.refusal, kept)
    row = done.make_row()
    progress, following = await _find_following(context, row)
    steps = [_describe_completion(row, following)]
    return CompletedTask(
        task_id=row.id,
        status=ExecutionStatus(row.status),
        status_reason=row.status_reason,
        summary=row.summary,
        artifact_references=[view_reference(file) for file in kept],
        next_action=arguments.next_action,
        completion_time=row.completed_at,
        next_steps=steps,
        parent_progress=view_progress(progress),
        next_recommended_task=None if following is None else view_task(following),
        next_step=steps[0],
    )


def _find_own_lease(context: ToolContext, row: ExecutionRow) -> UUID:
    """The lease of the caller's own claim.

    Raises:
        NotClaimableError: the caller has not claimed the task.
    """
    if row.lease_token is None or row.claimed_by != context.caller.subject:
        who = f"{row.claimed_by} has it" if row.claimed_by else f"it is {row.status}"
        raise NotClaimableError(f"You have not claimed this task ({who}). Call {EXECUTE} first.")
    return row.lease_token


async def _find_following(
    context: ToolContext, row: ExecutionRow
) -> tuple[ChildProgress | None, ExecutionRow | None]:
    """The progress of the parent, and the next task: a part of the same one, or another."""
    async with context.reading() as session:
        parent_id, progress, following = row.parent_execution_id, None, None
        if parent_id is not None:
            progress = await planned_work.count_children(session, parent_id)
            following = await planned_work.find_next(session, row.user_id, parent_id)
        if following is None:
            following = await planned_work.find_next(session, row.user_id, None)
    return progress, following


def _describe_completion(row: ExecutionRow, following: ExecutionRow | None) -> str:
    match ExecutionStatus(row.status):
        case ExecutionStatus.RUNNING:
            return f"Continue the work, and report again with {COMPLETE}."
        case ExecutionStatus.BLOCKED:
            return (
                "Describe to the user what blocks the task. When they have acted, set its status "
                "to pending with orchestrator_update_task."
            )
        case ExecutionStatus.PENDING:
            return f"The task is in the queue again. Claim it with {EXECUTE} to revise it."
        case _ if following is not None:
            return f"Continue with {following.title!r}: {EXECUTE} with task_id {following.id}."
        case _:
            return "No other task is pending: report the result to the user."


EXECUTE_TASK = AgentTool(
    name=EXECUTE,
    group="orchestrator",
    title="Claim a task and get its instructions",
    description="Claim a pending task: no other worker gets it for a day. Returns who you should "
    "act as, the task, the results of its dependencies and the instructions. You do the work; "
    "report it with orchestrator_complete_task. Repeat the call to extend your claim and to read "
    "it again.",
    arguments=TaskArguments,
    result=ReadyTask,
    handler=_execute_task,
    is_idempotent=True,
)

COMPLETE_TASK = AgentTool(
    name=COMPLETE,
    group="orchestrator",
    title="Report a task",
    description="Report the work on a task that you have claimed. detailed_work is stored as an "
    "artifact. next_action decides: complete ends the task and lets the tasks that wait for it "
    "start, continue keeps it with you, needs_revision returns it to the queue, blocked stops it "
    "until a person has acted. Returns the progress of the parent and the task to do next.",
    arguments=CompleteTaskArguments,
    result=CompletedTask,
    handler=_complete_task,
)
