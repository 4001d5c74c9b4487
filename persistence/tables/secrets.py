"""Users' secrets, encrypted."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, OwnedRow


class SecretRow(OwnedRow):
    """One secret of one user, encrypted with the operator's key (`runtime/secret_box.py`)."""

    __tablename__ = "secrets"
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        Index("ix_secrets_user_id_id", "user_id", "id"),
    )

    name: Mapped[str]
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
