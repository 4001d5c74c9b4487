"""The wish that an execution stand still: kept in its row, and told to the loop that moves it."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ExecutionTerminalError
from domain.states import ExecutionStatus
from persistence.executions.signals import SignalKind, append_signal
from persistence.tables.executions import ExecutionRow

NOT_BEGUN = (ExecutionStatus.PENDING, ExecutionStatus.BLOCKED)
"""States whose execution nobody moves yet: whoever begins to reads the wish in the row."""


async def request_pause(session: AsyncSession, row: ExecutionRow, *, stand_still: bool) -> bool:
    """Pause or resume a locked execution; False where that is its wish already.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"This execution is {row.status} already.")
    if (row.pause_requested_at is not None) == stand_still:
        return False
    row.pause_requested_at = datetime.now(UTC) if stand_still else None
    if row.status not in NOT_BEGUN:
        await append_signal(session, row.id, SignalKind.PAUSE if stand_still else SignalKind.RESUME)
    await session.flush()
    return True
