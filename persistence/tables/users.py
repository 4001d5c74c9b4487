"""People and services that own things."""

from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class UserRow(Row):
    """One user, made at first sight of a valid token; `subject` is the token's `sub`."""

    __tablename__ = "users"

    id: Mapped[Id]
    subject: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    created_at: Mapped[CreatedAt]
