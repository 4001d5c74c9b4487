"""Tables of people's work beside the requests: groups, mentions, remembered decisions, views."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, OwnedRow, PrivateRow, Row

_IN_FORCE = text("revoked_at IS NULL")


class GroupRow(OwnedRow):
    """A group of users that input requests are assigned to; `user_id` is the admin who made it."""

    __tablename__ = "groups"
    __table_args__ = (
        Index("uq_groups_name", "name", unique=True),
        Index("ix_groups_members", "members", postgresql_using="gin"),
    )

    name: Mapped[str]
    description: Mapped[str | None]
    members: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    """Subjects of users."""
    working_hours: Mapped[dict[str, Any] | None]
    """`time_zone`, `days`, `start`, `end` (`domain.people.working_hours`)."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class MentionRow(Row):
    """A user or group that a comment mentions, who can then read the request."""

    __tablename__ = "input_request_mentions"

    assignee: Mapped[str] = mapped_column(primary_key=True)
    input_request_id: Mapped[UUID] = mapped_column(
        ForeignKey("input_requests.id"), primary_key=True
    )


class RememberedDecisionRow(OwnedRow):
    """A rule that a person stored with an answer (`domain/people/remembered_decisions.py`).

    It applies to one execution, or to the executions of one task that belong to `user_id`.
    """

    __tablename__ = "remembered_decisions"
    __table_args__ = (
        Index("ix_remembered_decisions_user_id_id", "user_id", "id", postgresql_where=_IN_FORCE),
        Index(
            "ix_remembered_decisions_user_id_tool_name",
            "user_id",
            "tool_name",
            postgresql_where=_IN_FORCE,
        ),
        Index(
            "ix_remembered_decisions_author_id_id",
            "author_id",
            "id",
            postgresql_where=text("revoked_at IS NULL AND author_id <> user_id"),
        ),
    )

    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    input_request_id: Mapped[UUID] = mapped_column(ForeignKey("input_requests.id"))
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id"))
    decision: Mapped[str]
    tool_name: Mapped[str]
    tool_input: Mapped[str] = mapped_column(Text)
    """What the author saw, as JSON text."""
    input_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    reach_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    pattern: Mapped[str | None]
    message: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    @property
    def scope(self) -> str:
        """To what the rule applies: `execution` or `task`."""
        return "task" if self.execution_id is None else "execution"


class InboxViewRow(PrivateRow):
    """Filters of the inbox that a user has saved under a name."""

    __tablename__ = "inbox_views"
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        Index("ix_inbox_views_user_id_id", "user_id", "id"),
    )

    filters: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]

    @property
    def is_new(self) -> bool:
        """Whether it was never replaced."""
        return self.created_at == self.updated_at
