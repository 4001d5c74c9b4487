"""The audit log, written in the transaction of each change, and the chain that seals it.

Triggers refuse changes of both tables.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


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
