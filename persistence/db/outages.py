"""Telling an absent database from a wrong statement."""

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# SQLSTATE classes of a server that ends, starts, is full or is cut off (Postgres manual, A), and a
# deadlock, which another try does not meet again: a parent that fails while its tree is cancelled.
_AWAY = ("08", "53", "57P", "40P01")


def is_outage(error: BaseException) -> bool:
    """Whether Postgres could not be reached, hung up, or has no connection left for us.

    `asyncpg` raises a plain `OSError` where nobody listens, SQLAlchemy's pool its own time-out.
    """
    if isinstance(error, DBAPIError):
        is_cut = error.connection_invalidated or isinstance(
            error, (InterfaceError, OperationalError)
        )
        return is_cut or _is_away(error.orig)
    return _is_away(error) or isinstance(error, (OSError, PoolTimeoutError, asyncpg.InterfaceError))


def _is_away(error: BaseException | None) -> bool:
    state = getattr(error, "sqlstate", None) or ""
    return str(state).startswith(_AWAY)
