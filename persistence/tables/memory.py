"""Tables of memory: entries, their versions and uses, and grants of namespaces to other users."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, OwnedRow, Row

_IS_CURRENT = text("deleted_at IS NULL")


class MemoryEntryRow(OwnedRow):
    """The current version of an entry. A deleted one keeps its versions, and can be added again."""

    __tablename__ = "memory_entries"
    __table_args__ = (
        Index(
            "uq_memory_entries_user_id_namespace_key", "user_id", "namespace", "key", unique=True
        ),
        Index("ix_memory_entries_user_id_id", "user_id", "id", postgresql_where=_IS_CURRENT),
        Index("ix_memory_entries_user_id_stored_bytes", "user_id", "stored_bytes"),
        Index(
            "ix_memory_entries_search",
            "search",
            postgresql_using="gin",
            # Each search would read the whole list of pending entries.
            postgresql_with={"fastupdate": "off"},
            postgresql_where=_IS_CURRENT,
        ),
        Index(
            "ix_memory_entries_expires_at",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL AND deleted_at IS NULL"),
        ),
    )

    namespace: Mapped[str] = mapped_column(Text(collation="C"))
    key: Mapped[str] = mapped_column(Text(collation="C"))
    version: Mapped[int]
    memory_type: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON)
    created_by: Mapped[str | None]
    execution_id: Mapped[UUID | None]
    stored_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of all versions."""
    search: Mapped[Any] = mapped_column(TSVECTOR, deferred=True)
    expires_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]


class MemoryVersionRow(Row):
    """One version of an entry; nothing changes it. The version of a deletion has no value."""

    __tablename__ = "memory_versions"

    entry_id: Mapped[UUID] = mapped_column(
        ForeignKey("memory_entries.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    memory_type: Mapped[str]
    value: Mapped[Any] = mapped_column(JSON)
    is_deletion: Mapped[bool]
    created_by: Mapped[str | None]
    execution_id: Mapped[UUID | None]
    created_at: Mapped[CreatedAt]


class MemoryUseRow(Row):
    """A version of an entry that an execution read or wrote."""

    __tablename__ = "memory_uses"
    __table_args__ = (
        Index("ix_memory_uses_execution_id_id", "execution_id", "id"),
        Index(
            "uq_memory_uses_execution_id_tool_use_id_entry_id",
            "execution_id",
            "tool_use_id",
            "entry_id",
            unique=True,
        ),
        Index("ix_memory_uses_entry_id", "entry_id"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    tool_use_id: Mapped[str | None]
    """The call of the model's tool: a repeated call changes nothing. None for other clients."""
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("memory_entries.id", ondelete="CASCADE"))
    namespace: Mapped[str] = mapped_column(Text(collation="C"))
    key: Mapped[str] = mapped_column(Text(collation="C"))
    version: Mapped[int]
    action: Mapped[str]
    """A `domain.memory.entries.MemoryAction`."""
    created_at: Mapped[CreatedAt]


class MemoryGrantRow(OwnedRow):
    """Lets another user read, or also write, a namespace and those below it."""

    __tablename__ = "memory_grants"
    __table_args__ = (
        Index(
            "uq_memory_grants_user_id_grantee_id_namespace",
            "user_id",
            "grantee_id",
            "namespace",
            unique=True,
        ),
        Index("ix_memory_grants_grantee_id", "grantee_id", "id"),
    )

    grantee_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    namespace: Mapped[str]
    mode: Mapped[str]
    created_at: Mapped[CreatedAt]
