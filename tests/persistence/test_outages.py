"""Which errors mean that the database is unavailable."""

import errno

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from persistence.db.outages import is_busy, is_outage


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("got result for unknown protocol state 3"),
        DBAPIError("SELECT 1", {}, asyncpg.InternalClientError("unexpected")),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.InterfaceError("closed"),
        asyncpg.DiskFullError("full"),
        ConnectionRefusedError(),
        OSError("Multiple exceptions: no server at two addresses"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError(errno.EMFILE, "no file for another connection"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_outage(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("x"),
        ValueError("x"),
        PermissionError(errno.EACCES, "of an artifact", "file"),
        OSError(errno.ENOSPC, "no space for an artifact"),
    ],
)
def test_a_fault_of_ours(error: Exception) -> None:
    assert not is_outage(error)


@pytest.mark.parametrize(
    ("error", "busy"),
    [(PoolTimeoutError("5 s"), True), (TimeoutError(), True), (ConnectionRefusedError(), False)],
)
def test_a_wait_that_took_too_long(*, error: Exception, busy: bool) -> None:
    assert is_outage(error)
    assert is_busy(error) is busy
