"""Tool calls: the request of the model, the decision, the outcome."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ToolCallRow(Row):
    """One tool call. `host_id` and the two columns after it identify its process."""

    __tablename__ = "tool_calls"
    __table_args__ = (Index("ix_tool_calls_execution_id_turn", "execution_id", "turn", "position"),)

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    turn: Mapped[int]
    position: Mapped[int]
    tool_use_id: Mapped[str]
    name: Mapped[str]
    input: Mapped[str] = mapped_column(Text)
    """JSON text as the model wrote it; an edited input is in `approved_input`."""
    approved_input: Mapped[str | None] = mapped_column(Text)
    input_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    effect: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    output: Mapped[str | None]
    is_error: Mapped[bool] = mapped_column(default=False)
    output_artifact_id: Mapped[UUID | None]
    child_execution_id: Mapped[UUID | None]
    wakes_at: Mapped[datetime | None]
    host_id: Mapped[str | None]
    process_group: Mapped[int | None]
    process_started_ticks: Mapped[int | None] = mapped_column(BigInteger)
    superseded_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
