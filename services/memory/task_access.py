"""Transactions of the memory tools of a model, on behalf of the user of its execution."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from domain.errors import (
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
    QuotaExceededError,
    ToolInputError,
)
from domain.memory.entries import MemoryAction
from domain.tools.calls import ToolInvocation
from persistence.ledger.audit import ENGINE
from persistence.memory import uses
from persistence.tables.memory import MemoryEntryRow
from services.caller import Caller
from services.memory.entries import EntryWriter
from services.unit_of_work import Services, UnitOfWork

_REFUSALS = (NotFoundError, PreconditionFailedError, QuotaExceededError)


@asynccontextmanager
async def transaction_of(services: Services, call: ToolInvocation) -> AsyncIterator[UnitOfWork]:
    """One transaction of a call. A read is recorded, too, so it is in one.

    Raises:
        ToolInputError: a service refused what the model asked for; an outage stays what it is.
    """
    with _refusals_for_model():
        async with services.transaction(_caller(call.user_id)) as work:
            yield work


@contextmanager
def _refusals_for_model() -> Iterator[None]:
    """Turn refusals into errors that the model reads."""
    try:
        yield
    except InvalidInputError as error:
        text = " ".join(problem.msg for problem in error.problems) or error.detail
        raise ToolInputError(text) from error
    except _REFUSALS as error:
        raise ToolInputError(error.detail) from error


def _caller(user_id: UUID) -> Caller:
    """The user of the execution; the audit log names the execution, and no person."""
    return Caller(user_id=user_id, subject="", actor=ENGINE, is_agent=True)


def writer_of(call: ToolInvocation) -> EntryWriter:
    """The call as the writer of an entry."""
    return EntryWriter(call.execution_id, call.tool_use_id)


async def record_reads(
    work: UnitOfWork,
    call: ToolInvocation,
    read: Sequence[tuple[MemoryEntryRow, int]],
    action: MemoryAction,
) -> None:
    """Record the entries that a call returns, each with its version."""
    await uses.record_reads(work.session, call.execution_id, call.tool_use_id, read, action)
