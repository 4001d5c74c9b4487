"""Tables of workspaces: their snapshots, and the hosts on which they are."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Row


class WorkspaceSnapshotRow(Row):
    """The files of a session's workspace after a turn of an execution.

    The newest one, by `id`, is the current one. `sha256` (hex) is that of its index; `blobs` are
    all stored files that it needs, with the index. Both are empty if the files could not be stored,
    or were deleted to free space.
    """

    __tablename__ = "workspace_snapshots"
    __table_args__ = (Index("ix_workspace_snapshots_session_id_id", "session_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    session_id: Mapped[UUID]
    execution_id: Mapped[UUID]
    turn: Mapped[int]
    sha256: Mapped[str]
    blobs: Mapped[list[str]] = mapped_column(ARRAY(Text))
    files: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of the files; parts that earlier snapshots have stored count, too."""
    created_at: Mapped[CreatedAt]


class WorkspaceBlobRow(Row):
    """A stored file that snapshots of a session need. It protects the file from deletion."""

    __tablename__ = "workspace_blobs"
    __table_args__ = (
        Index("ix_workspace_blobs_sha256", "sha256"),
        Index("ix_workspace_blobs_user_id_size_bytes", "user_id", "size_bytes"),
    )

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("blobs.sha256"), primary_key=True)
    user_id: Mapped[UUID]
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class WorkerHostRow(Row):
    """A host with workers, and when one of them last wrote this, by the clock of the database."""

    __tablename__ = "worker_hosts"

    host_id: Mapped[UUID] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]
