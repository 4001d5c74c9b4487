"""Prerequisites: executions that wait for other executions."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import Row


class PrerequisiteRow(Row):
    """`execution_id` is blocked until `prerequisite_id` is completed."""

    __tablename__ = "execution_prerequisites"
    __table_args__ = (Index("ix_execution_prerequisites_prerequisite_id", "prerequisite_id"),)

    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"), primary_key=True)
    prerequisite_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"), primary_key=True)
