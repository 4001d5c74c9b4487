"""The memory of executions, for the tools of the model (`tools.memory.MemoryStore`)."""

from collections.abc import Collection, Sequence
from typing import Any

from domain.memory.entries import MemoryAction, MemoryRecord, MemoryType
from domain.tools.calls import ToolInvocation
from persistence.db.paging import Window
from persistence.tables.memory import MemoryEntryRow
from services.memory import entries, reading, versions
from services.memory.entries import ANY_VERSION, NO_VERSION
from services.memory.inputs import MemoryPut
from services.memory.reading import EntryAddress, MemoryQuery
from services.memory.task_access import record_reads, transaction_of, writer_of
from services.memory.task_files import TaskFiles
from services.unit_of_work import Services


class TaskMemory:
    """Reads and writes the memory of the users of executions.

    The tools check which namespaces an execution may use.
    """

    def __init__(self, services: Services) -> None:
        """`services` are those of the worker."""
        self._services = services
        self.files = TaskFiles(services)

    async def get(self, call: ToolInvocation) -> MemoryRecord:
        """Return an entry, in the version of the call or the present one."""
        async with transaction_of(self._services, call) as work:
            found = await versions.find_version(
                work.session, work.caller, _address(call), call.input.get("version")
            )
            old = {} if found.version is None else versions.version_fields(found.version)
            record = _record(found.row, **old)
            await record_reads(work, call, [(found.row, record.version)], MemoryAction.READ)
        return record

    async def search(self, call: ToolInvocation, limit: int) -> Sequence[MemoryRecord]:
        """Return entries in the namespaces of the call, best or newest first."""
        kind = call.input.get("memory_type")
        query = MemoryQuery(
            words=call.input.get("q"),
            namespace_prefix=call.input.get("namespace_prefix"),
            memory_type=None if kind is None else MemoryType(kind),
            within=[access.namespace for access in call.memory.namespaces],
        )
        async with transaction_of(self._services, call) as work:
            page = await reading.list_entries(
                self._services, work.session, work.caller, query, Window(limit)
            )
            found = [(row, row.version) for row in page.rows]
            await record_reads(work, call, found, MemoryAction.FOUND)
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
        async with transaction_of(self._services, call) as work:
            stored = await entries.put_entry(
                work, _address(call), body, expected=expected, writer=writer_of(call)
            )
        return stored.version

    async def delete(self, call: ToolInvocation) -> None:
        """Delete an entry."""
        async with transaction_of(self._services, call) as work:
            await entries.delete_entry(work, _address(call), writer=writer_of(call))


def _address(call: ToolInvocation) -> EntryAddress:
    return EntryAddress(call.input["namespace"], call.input["key"])


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
