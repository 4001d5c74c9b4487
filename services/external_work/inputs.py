"""Input models of the services for external workers."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from domain.executions.external_work import NextAction
from services.definitions.inputs import AgentId
from services.executions.inputs import LONGEST_SUMMARY, Estimate, Priority
from services.field_types import Body, Moment, Text

SHORTEST_LEASE, LONGEST_LEASE = 1, 7 * 24 * 3600
"""Seconds: a worker that hangs must not keep work for more than a week (chosen)."""

DEFAULT_LEASE = 60
"""Seconds: a worker sends heartbeats, and work that is lost is soon done by another (chosen)."""

MOST_FILE_PATHS = 1_000
"""Paths of one report (chosen)."""

MOST_CAPABILITIES = 100
"""Of one claim (chosen)."""

Capability = Annotated[str, Field(min_length=1, max_length=200)]
Capabilities = Annotated[tuple[Capability, ...], Field(max_length=MOST_CAPABILITIES)]
LeaseSeconds = Annotated[float, Field(ge=SHORTEST_LEASE, le=LONGEST_LEASE, allow_inf_nan=False)]
WorkerName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Summary = Annotated[str, Field(max_length=LONGEST_SUMMARY)]
ArtifactType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")]
FilePath = Annotated[str, Field(min_length=1, max_length=4096)]


class ClaimBody(Body):
    """The work to claim: an execution, or the next one of an agent, or the next one of all.

    With `capabilities`, only work whose agent needs no other ones, and work without an agent.
    `worker` is shown to users as `claimed_by`; the default is the name of the user.
    """

    agent_id: AgentId | None = None
    capabilities: Capabilities | None = None
    execution_id: UUID | None = None
    lease_seconds: LeaseSeconds = DEFAULT_LEASE
    worker: WorkerName | None = None


class HeartbeatBody(Body):
    """The lease to extend. Without `lease_seconds` it lasts as long as at the claim."""

    lease_token: UUID
    lease_seconds: LeaseSeconds | None = None


class CompleteBody(Body):
    """The report of a worker.

    `detailed_work` is stored as an artifact of the type `artifact_type`. `output` is JSON for
    programs. `file_paths` are the files that the worker has changed.
    """

    lease_token: UUID
    summary: Summary | None = None
    detailed_work: str | None = None
    output: Any = None
    file_paths: Annotated[tuple[FilePath, ...], Field(max_length=MOST_FILE_PATHS)] = ()
    artifact_type: ArtifactType = "artifact"
    next_action: NextAction = NextAction.COMPLETE


class FailBody(Body):
    """Why the work failed. `retryable`: it returns to the queue, up to a limit."""

    lease_token: UUID
    message: Annotated[Text, Field(min_length=1)]
    retryable: bool = False


class ReleaseBody(Body):
    """The lease to end; the work returns to the queue."""

    lease_token: UUID
    reason: Text | None = None


class TermsBody(Body):
    """What orders the work. Omitted fields do not change; null removes a deadline or estimate."""

    priority: Priority = 5
    deadline_at: Moment | None = None
    estimated_duration_seconds: Estimate | None = None
