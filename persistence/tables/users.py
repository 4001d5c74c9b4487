"""Users: people and services that own resources."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class UserRow(Row):
    """One user, created at the first request with a valid token; `subject` is the token's `sub`.

    A quota that is empty is the operator's default.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("ix_users_role_id", "role", "id"),
        Index("ix_users_disabled", "id", postgresql_where=text("disabled_at IS NOT NULL")),
    )

    id: Mapped[Id]
    subject: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    disabled_at: Mapped[datetime | None]
    max_concurrent_executions: Mapped[int | None]
    max_usd_per_day: Mapped[Decimal | None]
    created_at: Mapped[CreatedAt]
