"""Where an execution can be forked, and the session that a fork begins with."""

import json
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.steps import CallStatus
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import MessageRow, ModelCallRow, SessionRow

GOES_ON = ("tool_use", "max_tokens")
"""Stop reasons after which our next message belongs to the turn: results, or the word to go on."""


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """The last message that is shared. `needs_prompt`: it is the model's last word."""

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
    """How many turns an execution has behind it, without what a reset superseded."""
    last = await session.scalar(
        select(ModelCallRow.turn)
        .where(*_answered(source))
        .order_by(ModelCallRow.turn.desc())
        .limit(1)
    )
    return last or 0


async def find_after_turn(
    session: AsyncSession, source: ExecutionRow, turn: int
) -> ForkPoint | None:
    """After a turn with its tool results; None where there is no such turn."""
    asked_up_to = await session.scalar(
        select(ModelCallRow.last_message_seq).where(*_answered(source), ModelCallRow.turn == turn)
    )
    if asked_up_to is None:
        return None
    found = await session.scalars(
        select(MessageRow)
        .where(
            MessageRow.session_id == source.session_id,
            MessageRow.execution_id == source.id,
            MessageRow.superseded_at.is_(None),
            MessageRow.seq.in_([asked_up_to + 1, asked_up_to + 2]),
        )
        .order_by(MessageRow.seq)
    )
    said, *following = found.all()
    if following and following[0].role == "user" and said.stop_reason in GOES_ON:
        return ForkPoint(following[0].seq)
    return ForkPoint(said.seq, needs_prompt=_is_last_word(said))


def _answered(source: ExecutionRow) -> tuple[ColumnElement[bool], ...]:
    return (
        ModelCallRow.execution_id == source.id,
        ModelCallRow.superseded_at.is_(None),
        ModelCallRow.status == CallStatus.SUCCEEDED,
    )


def _is_last_word(said: MessageRow) -> bool:
    """Whether nothing follows from a message: no call waits for its result, and no turn goes on."""
    asks = any(block.get("type") == "tool_use" for block in json.loads(said.content))
    return not asks and said.stop_reason != "pause_turn"


async def create_session(
    session: AsyncSession, source: ExecutionRow, origin: SessionRow, point: ForkPoint
) -> SessionRow:
    """A new session that shares what the source's has up to there; the source's row is locked.

    It stays on the host that holds the files, which it starts with a copy of.
    """
    # The clock of now, not of the transaction: what a reset waits to supersede comes after it.
    now = await session.scalar(select(func.clock_timestamp()))
    row = SessionRow(
        user_id=source.user_id,
        name=f"Task: {source.title} (fork)",
        agent_id=origin.agent_id,
        sdk_options=origin.sdk_options,
        workspace_host_id=origin.workspace_host_id,
        forked_from_session_id=origin.id,
        forked_at_seq=point.seq,
        forked_at=now,
    )
    session.add(row)
    await session.flush()
    return row
