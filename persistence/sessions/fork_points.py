"""The points at which an execution can be forked, and the session of a fork."""

import json
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.steps import CallStatus
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import MessageRow, ModelCallRow, SessionRow

CONTINUING = ("tool_use", "max_tokens")
"""Stop reasons after which the next user message belongs to the turn: tool results, or the request
to continue."""


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """The last message that is shared. `needs_prompt`: the model has finished its answer there."""

    seq: int
    needs_prompt: bool = False


async def find_start(session: AsyncSession, source: ExecutionRow) -> ForkPoint:
    """Before the first message of an execution that has its prompt."""
    first = await session.scalar(
        select(func.min(MessageRow.seq)).where(
            MessageRow.execution_id == source.id, MessageRow.superseded_at.is_(None)
        )
    )
    return ForkPoint(seq=(first or 1) - 1)


async def count_turns(session: AsyncSession, source: ExecutionRow) -> int:
    """How many turns an execution has, without those that a reset superseded."""
    last = await session.scalar(
        select(ModelCallRow.turn)
        .where(*_answer_conditions(source))
        .order_by(ModelCallRow.turn.desc())
        .limit(1)
    )
    return last or 0


async def find_after_turn(
    session: AsyncSession, source: ExecutionRow, turn: int
) -> ForkPoint | None:
    """The point after a turn with its tool results; None if there is no such turn."""
    sent_seq = await session.scalar(
        select(ModelCallRow.last_message_seq).where(
            *_answer_conditions(source), ModelCallRow.turn == turn
        )
    )
    if sent_seq is None:
        return None
    found = await session.scalars(
        select(MessageRow)
        .where(
            MessageRow.session_id == source.session_id,
            MessageRow.execution_id == source.id,
            MessageRow.superseded_at.is_(None),
            MessageRow.seq.in_([sent_seq + 1, sent_seq + 2]),
        )
        .order_by(MessageRow.seq)
    )
    answer, *following = found.all()
    if following and following[0].role == "user" and answer.stop_reason in CONTINUING:
        return ForkPoint(following[0].seq)
    return ForkPoint(answer.seq, needs_prompt=_is_final(answer))


def _answer_conditions(source: ExecutionRow) -> tuple[ColumnElement[bool], ...]:
    return (
        ModelCallRow.execution_id == source.id,
        ModelCallRow.superseded_at.is_(None),
        ModelCallRow.status == CallStatus.SUCCEEDED,
    )


def _is_final(answer: MessageRow) -> bool:
    """Whether the answer ends the turn: no tool call waits for its result, nothing is paused."""
    has_calls = any(block.get("type") == "tool_use" for block in json.loads(answer.content))
    return not has_calls and answer.stop_reason != "pause_turn"


async def create_session(
    session: AsyncSession, source: ExecutionRow, origin: SessionRow, point: ForkPoint
) -> SessionRow:
    """Create a session that shares the messages up to the point; the source's row is locked."""
    # The current time, not the transaction's: a reset that waits for the lock supersedes later.
    now = await session.scalar(select(func.clock_timestamp()))
    row = SessionRow(
        user_id=source.user_id,
        name=f"Task: {source.title} (fork)",
        agent_id=origin.agent_id,
        sdk_options=origin.sdk_options,
        forked_from_session_id=origin.id,
        forked_at_seq=point.seq,
        forked_at=now,
    )
    session.add(row)
    await session.flush()
    return row
