"""Who changed what, appended in the transaction of the change; and the chain that seals it.

Triggers refuse to change either table (migration 0007).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class AuditRow(Row):
    """One change or execute. `actor_id` is empty where the engine itself acted.

    `owner_id` is whose thing it was done to. It refers to no row: the row of the user would be
    locked at the end of each of their executions.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_owner_id_id", "owner_id", "id"),
        Index("ix_audit_log_actor_id_id", "actor_id", "id"),
        # What people did to the things of others: their lists need it, and it is hardly anything.
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
    """An entry that waits for its seal; a trigger writes it in the transaction of the entry.

    So no order of ids or commits matters: whatever commits, however late, waits here.
    """

    __tablename__ = "audit_unsealed"

    audit_id: Mapped[UUID] = mapped_column(primary_key=True)


class AuditSealRow(Row):
    """One link of the chain (domain/audit_chain.py). `seq` grows by one, without gaps.

    It refers to no row, so that it outlives one that somebody deletes.
    """

    __tablename__ = "audit_seals"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    audit_id: Mapped[UUID] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_at: Mapped[datetime] = mapped_column(server_default=func.now())
