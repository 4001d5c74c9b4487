"""Telling an absent database from a wrong statement."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# SQLSTATE classes of a server that ends, starts, is full or is cut off (Postgres manual, A).
_AWAY = ("08", "53", "57P")


def is_outage(error: BaseException) -> bool:
    """Whether Postgres could not be reached, hung up, or has no connection left for us.

    `asyncpg` raises a plain `OSError` where nobody listens, SQLAlchemy's pool its own time-out.
    """
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return (
            error.connection_invalidated
            or isinstance(error, (InterfaceError, OperationalError))
            or state.startswith(_AWAY)
        )
    return isinstance(error, (OSError, PoolTimeoutError))
