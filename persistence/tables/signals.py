"""Signals to executions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class SignalRow(Row):
    """One signal: start, answer, message, cancel, pause, resume, or the end of a subtask.

    It is written in the transaction of the change that it reports. The Temporal signal that follows
    only wakes the workflow; the execution consumes the row, in order of `id` (UUIDv7, created under
    the execution's row lock). The relay wakes the workflow at `wake_at` while `consumed_at` is
    empty.
    """

    __tablename__ = "signals"
    __table_args__ = (
        Index(
            "ix_signals_execution_id_unread",
            "execution_id",
            "id",
            postgresql_where=text("consumed_at IS NULL"),
        ),
        Index("ix_signals_wake_at", "wake_at", postgresql_where=text("consumed_at IS NULL")),
        Index(
            "ix_signals_consumed_at",
            "consumed_at",
            postgresql_where=text("consumed_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"))
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[CreatedAt]
    wake_at: Mapped[datetime]
    consumed_at: Mapped[datetime | None]
