"""Distinguishes an unavailable database from a wrong statement, and waits for a full one."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# SQLSTATE classes of a server that stops, starts, is full or disconnected (Postgres manual, A), and
# deadlocks, where a retry succeeds: for example a parent fails while its tree is cancelled.
_UNAVAILABLE = ("08", "53", "57P", "40P01")

_REFUSED = ("53", "25006")
"""SQLSTATE of a server that has no disk space, memory or connection left, or is read-only."""

RETRY_SECONDS = 1.0
"""Until a refused write is repeated (chosen: a person frees disk space)."""

T = TypeVar("T")

log = structlog.get_logger(__name__)

_OF_FILES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
"""Errors of disks, which no connection reports."""


def is_outage(error: BaseException) -> bool:
    """Whether Postgres could not be reached, closed the connection, or has no free connection.

    `asyncpg` raises a plain `OSError` if no server listens, SQLAlchemy's pool its own timeout. The
    `OSError` of a file, which names it or is about a disk, is no outage.
    """
    if isinstance(error, DBAPIError):
        is_disconnected = error.connection_invalidated or isinstance(
            error, (InterfaceError, OperationalError)
        )
        return is_disconnected or _is_unavailable(error.orig)
    if isinstance(error, OSError):
        return error.filename is None and error.errno not in _OF_FILES
    return _is_unavailable(error) or isinstance(error, (PoolTimeoutError, asyncpg.InterfaceError))


def is_busy(error: BaseException) -> bool:
    """Whether an outage is a wait that took too long: for a connection, or for a statement."""
    return isinstance(error, (PoolTimeoutError, TimeoutError))


def _is_unavailable(error: BaseException | None) -> bool:
    # The driver's own error: the connection ended in the middle of a message.
    if isinstance(error, asyncpg.InternalClientError):
        return True
    state = getattr(error, "sqlstate", None) or ""
    return str(state).startswith(_UNAVAILABLE)


def is_refused(error: BaseException) -> bool:
    """Whether Postgres reported that it can't write now. Then it has written nothing."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "").startswith(_REFUSED)


async def repeat_refused(write: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a transaction, which is repeated as long as Postgres refuses it."""
    is_first = True
    while True:
        try:
            return await write()
        except (DBAPIError, asyncpg.PostgresError) as error:
            if not is_refused(error):
                raise
            if is_first:
                log.warning("database.write_refused", advice="Check its disk space.")
        is_first = False
        await asyncio.sleep(RETRY_SECONDS)
