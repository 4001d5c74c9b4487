"""Tables of what users define, such as tasks, agents, schedules and secrets."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from domain.schedules.schedule import OverlapPolicy
from domain.tools.groups import GROUP
from persistence.tables.columns import CleanText, CreatedAt, Id, NamedRow, OwnedRow, PrivateRow, Row


class TaskRow(Row):
    """A task: its name, whether it is active, its schedule. Its definition is in the version."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "uq_tasks_user_id_name_current",
            "user_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_tasks_user_id_id", "user_id", "id"),
        Index("ix_tasks_public", "id", postgresql_where=text("is_public AND deleted_at IS NULL")),
        Index("ix_tasks_tags", "tags", postgresql_using="gin"),
        Index(
            "ix_tasks_scheduled",
            "user_id",
            "id",
            postgresql_where=text("is_scheduled AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    description: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(CleanText), default=list)
    version: Mapped[int]
    is_public: Mapped[bool]
    is_active: Mapped[bool]
    is_scheduled: Mapped[bool]
    schedule_cron: Mapped[str | None]
    schedule_timezone: Mapped[str]
    schedule_enabled: Mapped[bool]
    schedule_overlap_policy: Mapped[OverlapPolicy] = mapped_column(CleanText)
    schedule_catchup_window_seconds: Mapped[int | None]
    schedule_jitter_seconds: Mapped[int | None]
    artifact_retention_seconds: Mapped[int | None] = mapped_column(BigInteger)
    """How long artifacts are kept after their execution has ended; None: forever."""
    entered_tools: Mapped[dict[str, Any] | None]
    """The tool lists that name a group, as they were sent; the version has the rules."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]


class TaskVersionRow(Row):
    """The definition that an execution runs, a `TaskDefinition`. It never changes."""

    __tablename__ = "task_versions"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]


class TaskTemplateRow(NamedRow):
    """A task's body with parameters. `task` and `parameters` are stored as they were sent."""

    KIND = "a task template"
    __tablename__ = "task_templates"
    __table_args__ = (
        Index("uq_task_templates_user_id_name", "user_id", "name", unique=True),
        Index("ix_task_templates_user_id_id", "user_id", "id"),
        Index("ix_task_templates_public", "id", postgresql_where=text("is_public")),
    )

    is_public: Mapped[bool]
    parameters: Mapped[Any]
    task: Mapped[dict[str, Any]]


class ToolGroupRow(NamedRow):
    """A user's list of tool rules, which tasks name as `group:NAME`."""

    KIND = "a tool group"
    __tablename__ = "tool_groups"
    __table_args__ = (
        Index("uq_tool_groups_user_id_name", "user_id", "name", unique=True),
        Index("ix_tool_groups_user_id_id", "user_id", "id"),
    )

    tools: Mapped[list[str]]

    @property
    def rule(self) -> str:
        """The rule that names this group in a task's lists of tools."""
        return GROUP + self.name


class McpServerRow(NamedRow):
    """An MCP server by its address or by a command.

    The values of `headers` and `env` are references (`secret://name`) or sealed, in base64.
    """

    KIND = "an MCP server"
    __tablename__ = "mcp_servers"
    __table_args__ = (
        Index("uq_mcp_servers_user_id_name", "user_id", "name", unique=True),
        Index("ix_mcp_servers_user_id_id", "user_id", "id"),
        Index("ix_mcp_servers_public", "id", postgresql_where=text("is_public")),
    )

    is_public: Mapped[bool]
    is_trusted: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether an admin trusts what the server says about the effects of its tools."""
    url: Mapped[str | None]
    command: Mapped[str | None]
    args: Mapped[list[str]]
    headers: Mapped[dict[str, Any]]
    env: Mapped[dict[str, Any]]
    auth: Mapped[dict[str, Any] | None]
    """Credentials for access tokens; the secret is a reference."""
    health: Mapped[dict[str, Any] | None]
    """The result of the last health check."""


class AgentRow(OwnedRow):
    """An agent of a user's own. `slug` is the wire's `agent_id`; it never changes."""

    __tablename__ = "agents"
    __table_args__ = (
        Index("uq_agents_user_id_slug", "user_id", "slug", unique=True),
        Index("ix_agents_user_id_id", "user_id", "id"),
    )

    slug: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    system_prompt: Mapped[str]
    model: Mapped[str | None]
    allowed_tools: Mapped[list[str]]
    network: Mapped[dict[str, Any] | None]
    """The hosts of its ad-hoc work: `{"allow": [...]}`."""
    memory: Mapped[dict[str, Any] | None]
    """The namespaces of its ad-hoc work: `{"namespaces": [...]}`."""
    executor: Mapped[str]
    capabilities: Mapped[list[str]]
    tags: Mapped[list[str]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class HookRow(OwnedRow):
    """A hook of a task, for the task's owner. Only the hash of its token is stored."""

    __tablename__ = "hooks"
    __table_args__ = (
        Index("uq_hooks_token_sha256", "token_sha256", unique=True),
        Index("ix_hooks_task_id_id", "task_id", "id"),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    name: Mapped[str | None]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[datetime | None]


class SecretRow(PrivateRow):
    """One secret of one user, encrypted with the operator's key (`runtime/secret_box.py`)."""

    __tablename__ = "secrets"
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        Index("ix_secrets_user_id_id", "user_id", "id"),
    )

    encrypted_value: Mapped[bytes] = mapped_column(LargeBinary)
    hosts: Mapped[list[str]]
    tools: Mapped[list[str]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    last_used_at: Mapped[datetime | None]

    @property
    def label(self) -> str:
        """What the encrypted value is bound to: this name of this user."""
        return f"secret/{self.user_id}/{self.name}"


class ScheduleRow(Row):
    """The schedule of a task that has one or had one.

    The task defines the schedule. Each change is a new `revision`, in the transaction of the
    change. If `applied_revision` is the same, Temporal has the newest one.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        Index(
            "ix_schedules_unsynchronised",
            "changed_at",
            postgresql_where=text("revision <> applied_revision"),
        ),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    revision: Mapped[int]
    applied_revision: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[CreatedAt]


class ScheduleSkipRow(Row):
    """A scheduled run that was skipped, and why; identified by its workflow, as an execution is."""

    __tablename__ = "schedule_skips"
    __table_args__ = (
        Index("ix_schedule_skips_task_id_id", "task_id", "id"),
        Index(
            "uq_schedule_skips_workflow_id_first_run_id",
            "workflow_id",
            "first_run_id",
            unique=True,
        ),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID]
    """Without a foreign key: a restored database may lack a task whose schedule still runs."""
    workflow_id: Mapped[str]
    first_run_id: Mapped[str]
    scheduled_at: Mapped[datetime]
    reason: Mapped[str]
    created_at: Mapped[CreatedAt]


class ScheduleBackfillRow(Row):
    """A requested backfill; `sent_at` is when Temporal got it."""

    __tablename__ = "schedule_backfills"
    __table_args__ = (
        Index("ix_schedule_backfills_unsent", "id", postgresql_where=text("sent_at IS NULL")),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    start_at: Mapped[datetime]
    end_at: Mapped[datetime]
    overlap_policy: Mapped[OverlapPolicy] = mapped_column(CleanText)
    created_at: Mapped[CreatedAt]
    sent_at: Mapped[datetime | None]
