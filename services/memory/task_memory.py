"""The memory of executions, for the tools of the model (`tools.memory.MemoryStore`)."""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import (
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
    QuotaExceededError,
    ToolInputError,
)
from domain.memory import MemoryRecord, MemoryType
from domain.tool_calls import ToolInvocation
from persistence.db.paging import Window
from persistence.ledger.audit import ENGINE
from persistence.tables.memory import MemoryEntryRow
from services.caller import Caller
from services.memory import entries
from services.memory.entries import (
    ANY_VERSION,
    NO_VERSION,
    EntryAddress,
    EntryWriter,
    MemoryQuery,
)
from services.memory.inputs import MemoryPut
from services.unit_of_work import Services, UnitOfWork

_REFUSALS = (NotFoundError, PreconditionFailedError, QuotaExceededError)


class TaskMemory:
    """Reads and writes the memory of the users of executions.

    The tools check which namespaces an execution may use.
    """

    def __init__(self, services: Services) -> None:
        """`services` are those of the worker."""
        self._services = services

    async def get(self, call: ToolInvocation) -> MemoryRecord:
        """Return an entry, in the version of the call or the present one."""
        async with self._reading() as session:
            found = await entries.find_version(
                session, _caller(call.user_id), _address(call), call.input.get("version")
            )
        old = {} if found.version is None else entries.version_fields(found.version)
        return _record(found.row, **old)

    async def search(self, call: ToolInvocation, limit: int) -> Sequence[MemoryRecord]:
        """Return entries in the namespaces of the call, best or newest first."""
        kind = call.input.get("memory_type")
        query = MemoryQuery(
            words=call.input.get("q"),
            namespace_prefix=call.input.get("namespace_prefix"),
            memory_type=None if kind is None else MemoryType(kind),
            within=[access.namespace for access in call.memory.namespaces],
        )
        async with self._reading() as session:
            page = await entries.list_entries(
                self._services, session, _caller(call.user_id), query, Window(limit)
            )
        return [_record(row) for row in page.rows]

    async def add(self, call: ToolInvocation) -> int:
        """Write a new entry; return its version."""
        kind = call.input.get("memory_type")
        body = MemoryPut(
            value=call.input["value"], memory_type=None if kind is None else MemoryType(kind)
        )
        return await self._put(call, body, {NO_VERSION})

    async def update(self, call: ToolInvocation) -> int:
        """Change an entry; return its version."""
        version = call.input.get("expected_version")
        expected = ANY_VERSION if version is None else {version}
        return await self._put(call, MemoryPut(value=call.input["value"]), expected)

    async def _put(self, call: ToolInvocation, body: MemoryPut, expected: Collection[int]) -> int:
        async with self._writing(call) as work:
            stored = await entries.put_entry(
                work, _address(call), body, expected=expected, writer=_writer(call)
            )
        return stored.version

    async def delete(self, call: ToolInvocation) -> None:
        """Delete an entry."""
        async with self._writing(call) as work:
            await entries.delete_entry(work, _address(call), writer=_writer(call))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        with _refusals_for_model():
            async with self._services.database.reading() as session:
                yield session

    @asynccontextmanager
    async def _writing(self, call: ToolInvocation) -> AsyncIterator[UnitOfWork]:
        with _refusals_for_model():
            async with self._services.transaction(_caller(call.user_id)) as work:
                yield work


@contextmanager
def _refusals_for_model() -> Iterator[None]:
    """Turn refusals into errors that the model reads; an outage stays what it is."""
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


def _address(call: ToolInvocation) -> EntryAddress:
    return EntryAddress(call.input["namespace"], call.input["key"])


def _writer(call: ToolInvocation) -> EntryWriter:
    return EntryWriter(call.execution_id, call.tool_use_id)


def _record(row: MemoryEntryRow, **old: Any) -> MemoryRecord:
    """The entry, with the fields in which an earlier version differs."""

    def field(name: str) -> Any:
        return old.get(name, getattr(row, name))

    return MemoryRecord(
        namespace=row.namespace,
        key=row.key,
        version=field("version"),
        memory_type=field("memory_type"),
        value=field("value"),
        written_at=field("updated_at"),
    )
