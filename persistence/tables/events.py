"""The events of executions, numbered without gaps."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Row


class ExecutionEventRow(Row):
    """One event (contract.md, section 7). `seq` comes from the execution's own counter."""

    __tablename__ = "execution_events"

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[CreatedAt]
