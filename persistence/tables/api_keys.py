"""API keys, which authenticate a user without a token."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, OwnedRow


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
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
