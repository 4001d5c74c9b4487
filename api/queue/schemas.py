"""What workers read: claimed work, the state of a lease, and what was stored of a report."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.executions.schemas import ExecutionRead, cached_fields, readable_views
from api.http.problems import render_error
from api.http.request_context import Call
from api.http.responses import answer
from api.http.schemas import Read, from_row
from api.links import BASE
from domain.errors import LeaseLostError
from domain.executions.external_work import ArtifactReference
from domain.executions.states import ExecutionStatus
from persistence.tables.executions import ExecutionRow
from services.external_work.claims import Claim, Heartbeat
from services.external_work.context import make_reference
from services.external_work.overview import ExecutionPlan, QueueStatus
from services.external_work.reports import Completion
from services.external_work.stale_work import StaleAction, StaleWork

_PLAN_PATH = f"{BASE}/queue/plan"


class ArtifactReferenceRead(BaseModel):
    """A stored file; `GET /artifacts/{id}/content` returns its bytes."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    name: str
    type: str
    size: int


class PrerequisiteResultRead(BaseModel):
    """The result of a completed prerequisite."""

    execution_id: UUID
    title: str
    summary: str | None
    text: str | None
    artifacts: list[ArtifactReferenceRead]


class ClaimRead(ExecutionRead):
    """A claimed execution, with all that its worker needs.

    `specialist_context` is Markdown: role, expertise, approach, task, results of prerequisites,
    existing artifacts, and instructions.
    """

    execution_id: UUID
    lease_token: UUID
    prompt: str
    specialist_context: str
    instructions: list[str]
    prerequisites: list[PrerequisiteResultRead]
    artifacts: list[ArtifactReferenceRead]


class HeartbeatRead(BaseModel):
    """The state of claimed work. If `must_stop` is true, the worker must stop."""

    execution_id: UUID
    status: ExecutionStatus
    must_stop: bool
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_reason: str | None
    pause_requested_at: datetime | None
    links: dict[str, str] = Field(serialization_alias="_links")


class WorkReportRead(ExecutionRead):
    """An execution after a report, with the artifacts that were stored."""

    artifacts: list[ArtifactReferenceRead]


class QueueAgentRead(BaseModel):
    """The work of one agent; `agent_id` is null for work that names none."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    agent_id: str | None
    counts: dict[ExecutionStatus, int]
    oldest_pending_at: datetime | None
    oldest_pending_seconds: float | None


class QueueStatusRead(BaseModel):
    """Your external work by state and agent.

    `average_priority` is that of the pending work; `maximum_depth` is the longest chain of
    prerequisites. Of an agent and a state at most 10,000 executions are counted, the oldest ones;
    `total_is_capped` is true if there are more.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    total: int
    total_is_capped: bool
    counts: dict[ExecutionStatus, int]
    average_priority: float | None
    maximum_depth: int
    oldest_pending_at: datetime | None
    oldest_pending_seconds: float | None
    newest_at: datetime | None
    agents: list[QueueAgentRead]
    links: dict[str, str] = Field(serialization_alias="_links")


class PlannedWorkRead(BaseModel):
    """Work in an execution plan."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: UUID
    title: str
    agent_id: str | None
    status: ExecutionStatus
    calculated_priority: float | None


class ExecutionPlanRead(BaseModel):
    """Work in batches: what is in one batch can be done at the same time."""

    batches: list[list[PlannedWorkRead]]
    total_batches: int
    max_parallelism: int
    links: dict[str, str] = Field(serialization_alias="_links")


def respond_status(status: QueueStatus) -> Response:
    """Respond with the state of the queue."""
    shown = {**asdict(status), "links": {"self": f"{BASE}/queue/status", "plan": _PLAN_PATH}}
    return answer(QueueStatusRead.model_validate(shown), 200)


def respond_plan(plan: ExecutionPlan) -> Response:
    """Respond with the batches."""
    shown = ExecutionPlanRead(
        batches=[[PlannedWorkRead.model_validate(row) for row in batch] for batch in plan.batches],
        total_batches=len(plan.batches),
        max_parallelism=plan.max_parallelism,
        links={"self": _PLAN_PATH},
    )
    return answer(shown, 200)


class StaleWorkRead(Read):
    """Work that no one continues, and what a clean-up does with it."""

    paths = {"self": "/task-executions/{execution_id}"}

    execution_id: UUID
    title: str
    status: ExecutionStatus
    claimed_by: str | None
    active_at: Annotated[datetime, Field(description="When something last happened.")]
    action: StaleAction


class CleanUpRead(BaseModel):
    """The stale work, the oldest first, at most 100; a further call finds the rest."""

    dry_run: bool
    items: list[StaleWorkRead]


class PrunedWorkRead(Read):
    """Finished work that is pruned."""

    paths = {"self": "/task-executions/{execution_id}"}

    execution_id: UUID
    parent_execution_id: UUID | None
    title: str
    status: ExecutionStatus
    completed_at: datetime


class PruneWorkRead(BaseModel):
    """The finished work, the oldest first, at most 100 trees; a further call finds the rest."""

    dry_run: bool
    items: list[PrunedWorkRead]


async def respond_claimed(call: Call, _: AsyncSession, claim: Claim | None) -> Response:
    """Respond with the claimed work, or with 204 if there is no work."""
    if claim is None:
        return Response(status_code=204)
    fields = cached_fields(call, claim.stored.columns)
    context = claim.context
    fields |= {
        "links": {**fields["links"], **_worker_links(fields["id"])},
        "execution_id": fields["id"],
        "prompt": context.prompt,
        "specialist_context": context.render(),
        "instructions": context.instructions(),
        "prerequisites": [asdict(result) for result in context.prerequisites],
        "artifacts": _references(context.artifacts),
    }
    shown = ClaimRead(**fields)
    return answer(shown, 200)


async def respond_alive(_: Call, __: AsyncSession, heartbeat: Heartbeat) -> Response:
    """Respond with the state of the work."""
    row = heartbeat.row
    shown = HeartbeatRead(
        execution_id=row.id,
        status=ExecutionStatus(row.status),
        must_stop=heartbeat.must_stop,
        lease_expires_at=heartbeat.lease_expires_at,
        cancel_requested_at=row.cancel_requested_at,
        cancel_reason=row.cancel_reason,
        pause_requested_at=row.pause_requested_at,
        links={"self": links.execution_path(row.id), **_worker_links(row.id)},
    )
    return answer(shown, 200)


async def respond_reported(call: Call, _: AsyncSession, completion: Completion) -> Response:
    """Respond with the execution, or with a refusal that names the artifacts that were kept."""
    kept = [make_reference(row) for row in completion.artifacts]
    if completion.refusal is not None:
        return render_error(call.request.scope, explain_late(completion.refusal, kept))
    fields = cached_fields(call, completion.columns)
    return answer(WorkReportRead(**fields, artifacts=_references(kept)), 200)


async def respond_returned(call: Call, session: AsyncSession, row: ExecutionRow) -> Response:
    """Respond with the execution."""
    (read,) = await readable_views(session, call, [row])
    return answer(read, 200)


async def respond_cleaned_up(
    _: Call, __: AsyncSession, found: Sequence[StaleWork], *, dry_run: bool
) -> Response:
    """Respond with the stale work."""
    items = [
        from_row(
            StaleWorkRead,
            stale.row,
            execution_id=stale.row.id,
            active_at=stale.active_at,
            action=stale.action,
        )
        for stale in found
    ]
    return answer(CleanUpRead(dry_run=dry_run, items=items), 200)


async def respond_pruned(
    _: Call, __: AsyncSession, pruned: Sequence[ExecutionRow], *, dry_run: bool
) -> Response:
    """Respond with the pruned work."""
    items = [from_row(PrunedWorkRead, row, execution_id=row.id) for row in pruned]
    return answer(PruneWorkRead(dry_run=dry_run, items=items), 200)


def explain_late(refusal: LeaseLostError, kept: Sequence[ArtifactReference]) -> LeaseLostError:
    """The refusal of a late report, with the artifacts that were kept."""
    if not kept:
        return refusal
    ids = ", ".join(str(file.id) for file in kept)
    return LeaseLostError(f"{refusal.detail} The detailed work is kept as artifact {ids}.")


def _references(files: Sequence[ArtifactReference]) -> list[ArtifactReferenceRead]:
    return [ArtifactReferenceRead.model_validate(file) for file in files]


def _worker_links(execution_id: UUID) -> dict[str, str]:
    path = f"{BASE}/queue/{execution_id}"
    return {verb: f"{path}/{verb}" for verb in ("heartbeat", "complete", "fail", "release")}
