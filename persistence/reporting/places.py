"""Where in the transcript something was asked for: the message that a part of a report links to."""

from uuid import UUID

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import InstrumentedAttribute

from domain.steps import CallStatus
from persistence.tables.model_calls import ModelCallRow
from persistence.tables.tool_calls import ToolCallRow


def message_of_turn(execution_id: UUID, turn: InstrumentedAttribute[int]) -> ScalarSelect[int]:
    """The message that a turn's answer became; NULL where there is none."""
    return (
        select(ModelCallRow.last_message_seq + 1)
        .where(
            ModelCallRow.execution_id == execution_id,
            ModelCallRow.superseded_at.is_(None),
            ModelCallRow.turn == turn,
            ModelCallRow.status == CallStatus.SUCCEEDED,
        )
        .limit(1)
        .scalar_subquery()
    )


def message_of_call(
    execution_id: UUID,
    tool_call_id: InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None],
) -> ScalarSelect[int]:
    """The message that asked for this tool call; NULL where no tool call was the reason."""
    return (
        select(message_of_turn(execution_id, ToolCallRow.turn))
        .where(ToolCallRow.id == tool_call_id, ToolCallRow.execution_id == execution_id)
        .limit(1)
        .scalar_subquery()
    )
