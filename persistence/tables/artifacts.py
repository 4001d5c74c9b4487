"""Files that executions saved: metadata here, bytes in the content-addressed store."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ArtifactRow(Row):
    """One file. `kind`: `artifact` (saved by a tool or client), `tool_output` (a long output)."""

    __tablename__ = "artifacts"
    __table_args__ = (Index("ix_artifacts_execution_id_id", "execution_id", "id"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    tool_call_id: Mapped[UUID | None]
    kind: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    created_at: Mapped[CreatedAt]
