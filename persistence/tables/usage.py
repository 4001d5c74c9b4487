"""Usage of past days, summed once."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Row


class UsageDayRow(Row):
    """The executions of one user and task that ended on one day (UTC).

    Once over all models (`model` empty), and once for each model they called. Not an index over
    executions: their counters change at every step, which may touch no index.
    """

    __tablename__ = "usage_days"
    __table_args__ = (
        Index("ix_usage_days_day", "day"),
        Index("ix_usage_days_user_id_day", "user_id", "day"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    day: Mapped[date]
    user_id: Mapped[UUID]
    task_id: Mapped[UUID | None]
    model: Mapped[str | None]
    executions: Mapped[int] = mapped_column(BigInteger)
    completed: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    cancelled: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal]
    running_ms: Mapped[int] = mapped_column(BigInteger)
    human_wait_ms: Mapped[int] = mapped_column(BigInteger)


class UsageClosedDayRow(Row):
    """A day that was summed. Days are closed in order, without gaps."""

    __tablename__ = "usage_closed_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    closed_at: Mapped[CreatedAt]
