"""Tables of sessions: transcripts, model calls, tool calls, input requests, artifacts, reports."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class SessionRow(Row):
    """A conversation. `workspace_host_id` is the host of its workspace, if it has one."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id_id", "user_id", "id"),
        Index("ix_sessions_user_id_agent_id_id", "user_id", "agent_id", "id"),
        # Few among the many that one execution each has made.
        Index(
            "ix_sessions_user_id_id_interactive",
            "user_id",
            "id",
            postgresql_where=text("is_interactive IS true"),
        ),
        Index(
            "ix_sessions_user_id_workspace_bytes",
            "user_id",
            "workspace_bytes",
            postgresql_where=text("workspace_bytes > 0"),
        ),
        Index(
            "ix_sessions_deleted_workspaces",
            "workspace_host_id",
            postgresql_where=text("deleted_at IS NOT NULL AND workspace_bytes > 0"),
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    title: Mapped[str | None]
    agent_id: Mapped[str | None]
    agent_source: Mapped[str | None]
    """`user`, or `capabilities`; None until the first message of a conversation chooses one."""
    agent_reason: Mapped[str | None]
    sdk_options: Mapped[dict[str, Any] | None]
    is_interactive: Mapped[bool] = mapped_column(default=False)
    workspace_host_id: Mapped[UUID | None]
    workspace_epoch: Mapped[int] = mapped_column(server_default="0")
    """How often the workspace has moved to another host."""
    workspace_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The size of its workspace after the last tool that changed it."""
    forked_from_session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"))
    """A fork shares this session's messages up to `forked_at_seq`, as they were at `forked_at`."""
    forked_at_seq: Mapped[int | None]
    forked_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]


class MessageRow(Row):
    """One message. `content` is the JSON text of its blocks, unchanged.

    A reset of the execution supersedes rows; nothing else changes one.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index(
            "uq_messages_session_id_seq",
            "session_id",
            "seq",
            unique=True,
            postgresql_where=text("superseded_at IS NULL"),
        ),
        Index("ix_messages_execution_id_seq", "execution_id", "seq"),
        # Forks still count what was superseded after them.
        Index(
            "ix_messages_superseded",
            "session_id",
            "seq",
            postgresql_where=text("superseded_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    session_id: Mapped[UUID]
    execution_id: Mapped[UUID]
    seq: Mapped[int]
    role: Mapped[str]
    content: Mapped[str] = mapped_column(Text)  # ASCII by construction; kept to the byte
    model: Mapped[str | None]
    stop_reason: Mapped[str | None]
    usage: Mapped[dict[str, Any] | None]
    cost_usd: Mapped[Decimal | None]
    request_id: Mapped[str | None]
    superseded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class ModelCallRow(Row):
    """One attempt of one call. `status`: a `domain.executions.steps.CallStatus`."""

    __tablename__ = "model_calls"
    __table_args__ = (
        Index("ix_model_calls_execution_id_turn", "execution_id", "turn", "try_number"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    turn: Mapped[int]
    try_number: Mapped[int]
    status: Mapped[str]
    model: Mapped[str]
    max_tokens: Mapped[int]
    last_message_seq: Mapped[int]
    """The call sends the session's messages up to this one."""
    request_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    stop_reason: Mapped[str | None]
    stop_details: Mapped[dict[str, Any] | None]
    usage: Mapped[dict[str, Any] | None]
    usage_estimated: Mapped[bool] = mapped_column(default=False)
    estimate_usd: Mapped[Decimal | None]
    """The cost of the call if its answer is lost."""
    cost_usd: Mapped[Decimal | None]
    is_scripted: Mapped[bool] = mapped_column(server_default="false")
    """Whether the scripted model was called, which costs nothing."""
    error_kind: Mapped[str | None]
    error_message: Mapped[str | None]
    http_status: Mapped[int | None]
    request_id: Mapped[str | None]
    first_token_ms: Mapped[int | None]
    superseded_at: Mapped[datetime | None]
    started_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class ToolCallRow(Row):
    """One tool call. `host_id` and the two columns after it identify its process."""

    __tablename__ = "tool_calls"
    __table_args__ = (Index("ix_tool_calls_execution_id_turn", "execution_id", "turn", "position"),)

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    turn: Mapped[int]
    position: Mapped[int]
    tool_use_id: Mapped[str]
    name: Mapped[str]
    input: Mapped[str] = mapped_column(Text)
    """JSON text as the model wrote it; an edited input is in `approved_input`."""
    approved_input: Mapped[str | None] = mapped_column(Text)
    input_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    effect: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    output: Mapped[str | None]
    is_error: Mapped[bool] = mapped_column(default=False)
    output_artifact_id: Mapped[UUID | None]
    child_execution_id: Mapped[UUID | None]
    """The subtask of the call, if it started one."""
    child_execution_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid), default=list, server_default="{}"
    )
    """The subtasks of the call, in the order of its input."""
    wakes_at: Mapped[datetime | None]
    remote_state: Mapped[dict[str, Any] | None]
    """What continues a call that an MCP server has not answered."""
    host_id: Mapped[str | None]
    process_group: Mapped[int | None]
    process_started_ticks: Mapped[int | None] = mapped_column(BigInteger)
    connections: Mapped[dict[str, Any] | None]
    """What a call with network connected to (`domain.web.connections`)."""
    remembered_decision_id: Mapped[UUID | None]
    """The remembered decision that allowed or denied it."""
    superseded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class InputRequestRow(Row):
    """A question or approval. An approval is bound to `input_sha256`."""

    __tablename__ = "input_requests"
    __table_args__ = (
        Index("ix_input_requests_user_id_status_id", "user_id", "status", "id"),
        Index("ix_input_requests_execution_id_status", "execution_id", "status"),
        Index(
            "ix_input_requests_assignee_status_id",
            "assignee",
            "status",
            "id",
            postgresql_where=text("assignee IS NOT NULL"),
        ),
        Index("ix_input_requests_due_at", "due_at", postgresql_where=text("status = 'open'")),
        Index(
            "ix_input_requests_next_action_at",
            "next_action_at",
            postgresql_where=text("status = 'open' AND next_action_at IS NOT NULL"),
        ),
        Index(
            "ix_input_requests_effective_at",
            "effective_at",
            postgresql_where=text("held_rule IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    tool_call_id: Mapped[UUID | None] = mapped_column(ForeignKey("tool_calls.id"))
    kind: Mapped[str]
    title: Mapped[str]
    body: Mapped[str | None]
    options: Mapped[Any | None]
    schema: Mapped[dict[str, Any] | None]
    tool_name: Mapped[str | None]
    tool_input: Mapped[str | None] = mapped_column(Text)
    input_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    tool_input_schema: Mapped[dict[str, Any] | None]
    """The schema of an edited input."""
    reach_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What the tool is and can reach; a remembered decision is bound to it."""
    assignee: Mapped[str | None]
    assignments: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often it was assigned again; links that were sent before are void."""
    status: Mapped[str]
    due_at: Mapped[datetime | None]
    on_expiry: Mapped[str]
    default_answer: Mapped[Any | None]
    escalation: Mapped[dict[str, Any] | None]
    """`to`, `due_seconds` and `on_expiry`, until it is escalated."""
    reminders: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    """Each with `at` and `sent_at`."""
    next_action_at: Mapped[datetime | None]
    """When it is next recalled or escalated."""
    claimed_by: Mapped[str | None]
    """The subject of the user who works on it."""
    claimed_at: Mapped[datetime | None]
    approvals_required: Mapped[int] = mapped_column(default=1, server_default="1")
    approvals: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    """Those that were given, each with `user_id`, `author`, `message` and `at`."""
    starter_may_not_approve: Mapped[bool] = mapped_column(default=False, server_default="false")
    answer: Mapped[dict[str, Any] | None]
    answered_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    answered_at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]
    """When the answer takes effect, or took effect if its author could withdraw it."""
    held_rule: Mapped[dict[str, Any] | None]
    """What the answer says about remembering, while it can be withdrawn; then empty."""
    dismissals: Mapped[int] = mapped_column(server_default="0")
    """How often a client returned no valid answer. It shows the request under a new key then."""
    answer_problem: Mapped[str | None] = mapped_column(Text)
    """What was wrong with the latest answer that a client returned."""
    comments: Mapped[list[Any]] = mapped_column(JSON, server_default="[]")
    """Oldest first; see `persistence.executions.input_requests.add_comment`."""
    created_at: Mapped[CreatedAt]


class ArtifactRow(Row):
    """One file.

    `kind`: `artifact` (saved by a tool or client), `tool_output` (a long output), or the type that
    an external worker has given to its detailed work.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        Index("ix_artifacts_execution_id_id", "execution_id", "id"),
        Index("ix_artifacts_user_id_size_bytes", "user_id", "size_bytes"),
        Index("ix_artifacts_sha256", "sha256"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    tool_call_id: Mapped[UUID | None]
    kind: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created_at: Mapped[CreatedAt]


class BlobRow(Row):
    """A file in the store of files (`persistence.blobs`), by its sha256 (hex).

    Garbage collection deletes it a day after `used_at` if nothing refers to it.
    """

    __tablename__ = "blobs"
    __table_args__ = (Index("ix_blobs_used_at", "used_at"),)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[CreatedAt]


class ReportRow(Row):
    """A report's typed content as JSON, stored once.

    Lists don't read `content` (up to 2 MB each); `persistence.reporting.reports` reads it.
    """

    __tablename__ = "reports"
    __table_args__ = (
        Index("ix_reports_user_id_id", "user_id", "id"),
        Index("ix_reports_user_id_task_id_id", "user_id", "task_id", "id"),
        Index("ix_reports_user_id_format_id", "user_id", "format", "id"),
        Index("ix_reports_execution_id", "execution_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    task_id: Mapped[UUID | None]
    """The execution's, so that a task's reports are found by index."""
    title: Mapped[str]
    format: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(deferred=True, deferred_raiseload=True)
    created_at: Mapped[CreatedAt]
