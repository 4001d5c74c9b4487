"""Tables of executions: their state, events, signals and prerequisites."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from domain.plans.plan import STEP_TRIGGER
from persistence.tables.columns import CleanText, CreatedAt, Id, Row

ACTIVE_STATUSES = "('pending', 'running', 'waiting_for_user', 'waiting_for_subtask', 'paused')"

CLAIMABLE = "status = 'pending' AND executor = 'external'"
"""The condition of the indexes of work that workers can claim."""


QUEUED = "executor = 'external' AND archived_at IS NULL"
"""The condition of the index that counts external work."""

PRIORITY_CHANGES = (
    "priority_changes_at IS NOT NULL AND executor = 'external' AND status IN ('pending', 'blocked')"
)
"""The condition of the index of priorities that grow with the time."""

PLANNED_WORK = "executor IN ('external', 'plan') AND archived_at IS NULL"
"""The condition of the indexes of what orchestrators plan and have not deleted."""


class PrefixRow(Row):
    """The beginning of every model call of an execution, stored once for each content."""

    __tablename__ = "prefixes"

    sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]


class ExecutionTagRow(Row):
    """A tag of an execution, indexed in the order of lists; an index on an array has no order."""

    __tablename__ = "execution_tags"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    execution_id: Mapped[UUID] = mapped_column(primary_key=True)


class ExecutionRow(Row):
    """One run of a task. Only the loop's writer changes the last group of columns."""

    __tablename__ = "executions"
    __table_args__ = (
        Index(
            "uq_executions_session_id_active",
            "session_id",
            unique=True,
            postgresql_where=text(f"status IN {ACTIVE_STATUSES}"),
        ),
        Index("ix_executions_user_id_id", "user_id", "id"),
        Index("ix_executions_user_id_status_id", "user_id", "status", "id"),
        Index("ix_executions_user_id_agent_id_id", "user_id", "agent_id", "id"),
        Index("ix_executions_user_id_trigger_type_id", "user_id", "trigger_type", "id"),
        Index("ix_executions_task_id_id", "task_id", "id"),
        Index(
            "ix_executions_task_id_scheduled",
            "task_id",
            "id",
            postgresql_where=text("trigger_type = 'scheduled' AND status = 'completed'"),
        ),
        Index(
            "ix_executions_task_id_scheduled_runs",
            "task_id",
            "id",
            postgresql_where=text("trigger_type = 'scheduled'"),
        ),
        Index(
            "ix_executions_active",
            "id",
            postgresql_where=text(f"status IN {ACTIVE_STATUSES}"),
        ),
        Index(
            "ix_executions_blocked_deadline_at",
            "deadline_at",
            postgresql_where=text("status = 'blocked' AND deadline_at IS NOT NULL"),
        ),
        Index(
            "ix_executions_parent_execution_id_id",
            "parent_execution_id",
            "id",
            postgresql_where=text("parent_execution_id IS NOT NULL"),
        ),
        Index("ix_executions_session_id_id", "session_id", "id"),
        Index(
            "ix_executions_retry_of_id",
            "retry_of_id",
            postgresql_where=text("retry_of_id IS NOT NULL"),
        ),
        Index(
            "uq_executions_workflow_id_first_run_id",
            "workflow_id",
            "first_run_id",
            unique=True,
        ),
        Index(
            "ix_executions_completed_at",
            "completed_at",
            postgresql_where=text("completed_at IS NOT NULL"),
        ),
        # The work that workers can claim, in the order in which they get it.
        Index(
            "ix_executions_claimable",
            "user_id",
            text("calculated_priority DESC"),
            "id",
            postgresql_where=text(CLAIMABLE),
        ),
        Index(
            "ix_executions_claimable_agent_id",
            "user_id",
            "agent_id",
            text("calculated_priority DESC"),
            "id",
            postgresql_where=text(CLAIMABLE),
        ),
        # The state of the queue; its counts read nothing else.
        Index(
            "ix_executions_queued",
            "user_id",
            "agent_id",
            "status",
            "id",
            postgresql_include=["calculated_priority", "dependency_depth"],
            postgresql_where=text(QUEUED),
        ),
        Index(
            "ix_executions_priority_changes_at",
            "priority_changes_at",
            postgresql_where=text(PRIORITY_CHANGES),
        ),
        # The work of orchestrators, for their queries.
        Index(
            "ix_executions_planned_work",
            "user_id",
            "id",
            postgresql_where=text(PLANNED_WORK),
        ),
        Index(
            "ix_executions_planned_work_complexity",
            "user_id",
            text("(trigger_metadata ->> 'complexity')"),
            "id",
            postgresql_where=text(PLANNED_WORK),
        ),
        Index(
            "ix_executions_lease_expires_at",
            "lease_expires_at",
            postgresql_where=text("lease_expires_at IS NOT NULL"),
        ),
        # Free space on each page, so that updates of the counters below change no index.
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id"))
    task_version: Mapped[int | None]
    definition: Mapped[dict[str, Any] | None]
    """The inline definition of an execution that has no task."""
    notification_config: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Who is notified of what (a trigger reads it); None if the definition does not say."""
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"))
    report_id: Mapped[UUID | None]
    parent_execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    parent_tool_call_id: Mapped[UUID | None]
    depth: Mapped[int] = mapped_column(default=0)
    retry_of_id: Mapped[UUID | None]
    forked_from_id: Mapped[UUID | None]
    title: Mapped[str]
    summary: Mapped[str | None]
    agent_id: Mapped[str | None]
    executor: Mapped[str] = mapped_column(default="claude")
    tags: Mapped[list[str]] = mapped_column(ARRAY(CleanText), default=list, server_default="[]")
    """The tags of its task when it started, or its own."""
    trigger_type: Mapped[str]
    trigger_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    archived_at: Mapped[datetime | None]
    """When an orchestrator deleted it from its lists; its record stays."""
    prompt_variables: Mapped[dict[str, Any]] = mapped_column(default=dict)
    missing_variables: Mapped[list[str]] = mapped_column(default=list)
    warnings: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    rendered_prompt: Mapped[str | None]
    watched_until: Mapped[datetime | None]
    """Until this time, a trigger notifies of each event: a client watches."""
    status: Mapped[str]
    status_reason: Mapped[str | None]
    wakes_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    result_data: Mapped[dict[str, Any] | None]
    report_error: Mapped[str | None]
    budget_usd: Mapped[Decimal | None]
    priority: Mapped[int]
    source: Mapped[str | None]
    """Who asked for external work (`domain.executions.priority.WorkSource`)."""
    estimated_duration_seconds: Mapped[float | None]
    input_data: Mapped[dict[str, Any] | None]
    """What the worker of an external execution gets beside its prompt."""
    dependency_depth: Mapped[int] = mapped_column(server_default="0")
    """The length of the longest chain of prerequisites below it."""
    calculated_priority: Mapped[float | None]
    """The order of external work in the queue (`domain.executions.priority`); else empty."""
    priority_changes_at: Mapped[datetime | None]
    """When the calculated priority has grown because the deadline came closer."""
    workflow_id: Mapped[str]
    first_run_id: Mapped[str | None]
    run_id: Mapped[str | None]
    deadline_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    """The worker of an external execution, also after its end; empty while it waits for one."""
    claimed_at: Mapped[datetime | None]
    lease_token: Mapped[UUID | None]
    lease_seconds: Mapped[float | None]
    lease_expires_at: Mapped[datetime | None]
    """On the database's clock. At this time the work returns to the queue."""
    cancel_requested_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None]
    pause_requested_at: Mapped[datetime | None]
    """When a user requested a pause. The signals `pause` and `resume` only report the change."""
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]

    # Changed by the loop's writer (persistence/executions/step_log.py).
    prefix_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    run_epochs: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="[]")
    """Run id → epoch; an operator's reset begins a new epoch."""
    epoch: Mapped[int] = mapped_column(server_default="0")
    segment: Mapped[int] = mapped_column(server_default="0")
    attempt: Mapped[int] = mapped_column(server_default="0")
    stalled_attempts: Mapped[int] = mapped_column(server_default="0")
    """Attempts without progress. For an external execution: leases that ran out, and failures."""
    running_ms: Mapped[int] = mapped_column(BigInteger, server_default="0")
    event_seq: Mapped[int] = mapped_column(server_default="0")
    total_messages: Mapped[int] = mapped_column(server_default="0")
    total_tool_calls: Mapped[int] = mapped_column(server_default="0")
    total_turns: Mapped[int] = mapped_column(server_default="0")
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    cost_usd: Mapped[Decimal] = mapped_column(server_default="0")
    is_scripted: Mapped[bool] = mapped_column(server_default="false")
    """Whether the scripted model was called instead of Claude."""
    scripted_cost_usd: Mapped[Decimal] = mapped_column(server_default="0")
    """The part of `cost_usd` that was not paid: what calls of the scripted model count as."""

    @property
    def is_started_by_parent(self) -> bool:
        """Whether the workflow of its parent starts it: a delegated subtask, or a plan's step."""
        return self.parent_tool_call_id is not None or self.trigger_type == STEP_TRIGGER


class ExecutionEventRow(Row):
    """One event. `seq` comes from the execution's own counter."""

    __tablename__ = "execution_events"

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[CreatedAt]


class SignalRow(Row):
    """One signal: start, answer, message, cancel, pause, resume, an end, or that of a subtask.

    It is written in the transaction of the change that it reports. The Temporal signal that follows
    only wakes the workflow; the execution consumes the row, in order of `id` (UUIDv7, created under
    the execution's row lock). The relay wakes the workflow at `wake_at` while `consumed_at` is
    empty.
    """

    __tablename__ = "signals"
    __table_args__ = (
        Index(
            "ix_signals_execution_id_unread",
            "execution_id",
            "id",
            postgresql_where=text("consumed_at IS NULL"),
        ),
        Index("ix_signals_wake_at", "wake_at", postgresql_where=text("consumed_at IS NULL")),
        Index(
            "ix_signals_consumed_at",
            "consumed_at",
            postgresql_where=text("consumed_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[CreatedAt]
    wake_at: Mapped[datetime]
    consumed_at: Mapped[datetime | None]


class PrerequisiteRow(Row):
    """`execution_id` is blocked until `prerequisite_id` is completed."""

    __tablename__ = "execution_prerequisites"
    __table_args__ = (Index("ix_execution_prerequisites_prerequisite_id", "prerequisite_id"),)

    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"), primary_key=True)
    prerequisite_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"), primary_key=True)


class OutdatedPriorityRow(Row):
    """An execution whose calculated priority must be computed again; rows are only added."""

    __tablename__ = "outdated_priorities"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    execution_id: Mapped[UUID]
