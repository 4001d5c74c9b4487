"""Tables of the audit log, usage, budgets, idempotency keys, users and notifications."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, OwnedRow, Row


class UserRow(Row):
    """One user, created at the first request with a valid token; `subject` is the token's `sub`.

    A quota that is empty is the operator's default.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("ix_users_role_id", "role", "id"),
        Index("ix_users_disabled", "id", postgresql_where=text("disabled_at IS NOT NULL")),
        Index("ix_users_email", text("lower(email)"), postgresql_where=text("email IS NOT NULL")),
        Index("uq_users_slack_user", "slack_user", unique=True),
    )

    id: Mapped[Id]
    subject: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    disabled_at: Mapped[datetime | None]
    max_concurrent_executions: Mapped[int | None]
    max_usd_per_day: Mapped[Decimal | None]
    max_stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_memory_entries: Mapped[int | None]
    claimed_groups: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """The groups of the latest token that had a claim for them."""
    email: Mapped[str | None]
    """The address in the latest token that had a verified one."""
    slack_user: Mapped[str | None]
    """The user's account in Slack (`TEAM/USER`), if they have linked one."""
    created_at: Mapped[CreatedAt]


class ApiKeyRow(OwnedRow):
    """One key. Only its hash is stored; people recognise it by its `prefix`."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index(
            "uq_api_keys_user_id_name_current",
            "user_id",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
        Index(
            "ix_api_keys_user_id_id", "user_id", "id", postgresql_where=text("revoked_at IS NULL")
        ),
        Index("uq_api_keys_sha256", "sha256", unique=True),
    )

    name: Mapped[str]
    prefix: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    role: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditRow(Row):
    """One change or start. `actor_id` is empty if the engine itself acted.

    `owner_id` is the owner of the changed entity. It is no foreign key: that would lock the user's
    row at the end of each of their executions.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_owner_id_id", "owner_id", "id"),
        Index("ix_audit_log_actor_id_id", "actor_id", "id"),
        # Changes of other users' entities: the actors' lists need them, and they are few.
        Index(
            "ix_audit_log_actor_id_id_of_others",
            "actor_id",
            "id",
            postgresql_where=text("owner_id IS DISTINCT FROM actor_id"),
        ),
        Index("ix_audit_log_action_id", "action", "id"),
        Index("ix_audit_log_entity_type_id", "entity_type", "id"),
        Index("ix_audit_log_entity_id_id", "entity_id", "id"),
    )

    id: Mapped[Id]
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    owner_id: Mapped[UUID | None]
    action: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[UUID]
    request_id: Mapped[str | None]
    address: Mapped[str | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    at: Mapped[CreatedAt]


class AuditUnsealedRow(Row):
    """An entry that has no seal yet; a trigger writes it in the transaction of the entry.

    So the order of ids and commits does not matter: a late commit is sealed later.
    """

    __tablename__ = "audit_unsealed"

    audit_id: Mapped[UUID] = mapped_column(primary_key=True)


class AuditSealRow(Row):
    """One link of the chain (domain/audit_chain.py). `seq` grows by one, without gaps.

    It has no foreign key, so it remains if an entry is deleted.
    """

    __tablename__ = "audit_seals"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    audit_id: Mapped[UUID] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UsageDayRow(Row):
    """The executions of one user and task that ended on one day (UTC).

    Once over all models (`model` empty), and once for each model they called. Not an index over
    executions: their counters change at every step, which may touch no index.
    """

    __tablename__ = "usage_days"
    __table_args__ = (
        Index("ix_usage_days_day", "day"),
        Index("ix_usage_days_user_id_day", "user_id", "day"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    day: Mapped[date]
    user_id: Mapped[UUID]
    task_id: Mapped[UUID | None]
    model: Mapped[str | None]
    executions: Mapped[int] = mapped_column(BigInteger)
    completed: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    cancelled: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal]
    running_ms: Mapped[int] = mapped_column(BigInteger)
    human_wait_ms: Mapped[int] = mapped_column(BigInteger)


class UsageClosedDayRow(Row):
    """A day that was summed. Days are closed in order, without gaps."""

    __tablename__ = "usage_closed_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    closed_at: Mapped[CreatedAt]


class BudgetRow(Row):
    """What an execution and all below it have spent and reserved (`domain/executions/budgets.py`).

    An execution has a row if it or one above it has a budget; the limit is its `budget_usd`. The
    rows of a tree are locked after all other rows, the outermost first.
    """

    __tablename__ = "budgets"
    __table_args__ = (
        Index("ix_budgets_root_id", "root_id"),
        # Free space on each page: every model call of the tree changes the sums of the root.
        {"postgresql_with": {"fillfactor": 50}},
    )

    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"), primary_key=True)
    root_id: Mapped[UUID]
    """The outermost execution of the tree that has a row."""
    path: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    """The executions with a row from the root to this one, which is included."""
    spent_usd: Mapped[Decimal] = mapped_column(server_default="0")
    reserved_usd: Mapped[Decimal] = mapped_column(server_default="0")
    needed_usd: Mapped[Decimal | None]
    """The maximum cost of the execution's next call, if that did not fit."""
    waits_since: Mapped[datetime | None]
    """Since when the call waits for reservations of others."""


class ModelLifecycleRow(Row):
    """What the Models API answered about a model."""

    __tablename__ = "model_lifecycles"

    model: Mapped[str] = mapped_column(primary_key=True)
    is_retired: Mapped[bool]
    retires_on: Mapped[date | None]
    read_at: Mapped[CreatedAt]


class IdempotencyKeyRow(Row):
    """One key of one user on one route. `response` is empty while the first request is handled."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_expires_at", "expires_at"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None]
    response: Mapped[Any | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]


class NotificationRow(Row):
    """One message to one target.

    A trigger writes it in the transaction of its event. `message_id` is the first delivery's id; a
    redelivery is a row of its own with the same `message_id`. `payload` is written before the first
    attempt and sent with each. At `start_at` the relay checks the delivery, until it has ended.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_user_id_id", "user_id", "id"),
        Index("ix_notifications_user_id_status_id", "user_id", "status", "id"),
        Index("ix_notifications_user_id_kind_id", "user_id", "kind", "id"),
        Index("ix_notifications_user_id_execution_id_id", "user_id", "execution_id", "id"),
        Index("ix_notifications_execution_id", "execution_id"),
        Index(
            "uq_notifications_event_target",
            "execution_id",
            "event_seq",
            "kind",
            "position",
            unique=True,
            postgresql_where=text("id = message_id"),
        ),
        Index("ix_notifications_start_at", "start_at", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[Id]
    message_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    event_seq: Mapped[int | None]
    type: Mapped[str]
    kind: Mapped[str]
    position: Mapped[int]
    target: Mapped[dict[str, Any]]
    payload: Mapped[dict[str, Any] | None]
    status: Mapped[str]
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    start_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class NotificationAttemptRow(Row):
    """One attempt. Without a duration it is in progress, or its worker crashed."""

    __tablename__ = "notification_attempts"
    __table_args__ = (
        Index(
            "uq_notification_attempts_notification_id_number",
            "notification_id",
            "number",
            unique=True,
        ),
    )

    id: Mapped[Id]
    notification_id: Mapped[UUID] = mapped_column(ForeignKey("notifications.id"))
    number: Mapped[int]
    started_at: Mapped[CreatedAt]
    duration_ms: Mapped[int | None]
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    excerpt: Mapped[str | None]
