"""Model calls: an intent before each, its outcome after."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class ModelCallRow(Row):
    """One attempt of one call. `status`: a `domain.steps.CallStatus`."""

    __tablename__ = "model_calls"
    __table_args__ = (
        Index("ix_model_calls_execution_id_turn", "execution_id", "turn", "try_number"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID]
    turn: Mapped[int]
    try_number: Mapped[int]
    status: Mapped[str]
    model: Mapped[str]
    max_tokens: Mapped[int]
    last_message_seq: Mapped[int]
    """The call sends the session's messages up to this one."""
    request_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    stop_reason: Mapped[str | None]
    stop_details: Mapped[dict[str, Any] | None]
    usage: Mapped[dict[str, Any] | None]
    usage_estimated: Mapped[bool] = mapped_column(default=False)
    estimate_usd: Mapped[Decimal | None]
    """The cost of the call if its answer is lost."""
    cost_usd: Mapped[Decimal | None]
    error_kind: Mapped[str | None]
    error_message: Mapped[str | None]
    http_status: Mapped[int | None]
    request_id: Mapped[str | None]
    first_token_ms: Mapped[int | None]
    superseded_at: Mapped[datetime | None]
    started_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]
