"""The files of Claude's own memory tool, for `tools.memory_files`: entries whose values are texts.

The path of a file is the key of its entry, in the namespace that `MemoryAccess.files` chooses.
"""

from collections.abc import Callable, Sequence
from typing import Any

from domain.errors import ToolInputError
from domain.memory.entries import MemoryAction, MemoryType, key_problem
from domain.memory.files import MOST_FILES, ROOT
from domain.tools.calls import ToolInvocation
from persistence.memory import entries as stored
from persistence.memory import uses
from services.memory import entries, reading
from services.memory.entries import NO_VERSION
from services.memory.inputs import MemoryPut
from services.memory.reading import EntryAddress
from services.memory.task_access import record_reads, transaction_of, writer_of
from services.unit_of_work import Services, UnitOfWork

FileList = Sequence[tuple[str, int]]
"""Keys with sizes in bytes."""


class TaskFiles:
    """Reads and writes the files of executions. The tool checks paths and access."""

    def __init__(self, services: Services) -> None:
        """`services` are those of the worker."""
        self._services = services

    async def read(self, call: ToolInvocation, key: str) -> Any | None:
        """Return the value of a file, or None if there is no such file."""
        async with transaction_of(self._services, call) as work:
            row = await stored.find(work.session, call.user_id, _namespace(call), key)
            if row is None:
                return None
            await record_reads(work, call, [(row, row.version)], MemoryAction.READ)
        return row.value

    async def list_below(self, call: ToolInvocation, key: str) -> FileList:
        """Return up to `MOST_FILES` + 1 files below a path, sorted by key; all if it is empty."""
        async with transaction_of(self._services, call) as work:
            return await _list_below(work, call, key)

    async def edit(
        self, call: ToolInvocation, key: str, edit: Callable[[Any], tuple[str, str]]
    ) -> str:
        """Change or create a file in one transaction.

        `edit` makes its text and a result from its value (None: there is no file). Returns the
        result, as the first run did if a crash interrupted the call.
        """

        def body(value: Any) -> tuple[MemoryPut, str]:
            text, result = edit(value)
            return MemoryPut(value=text), result

        async with transaction_of(self._services, call) as work:
            address = EntryAddress(_namespace(call), key)
            _, result = await entries.edit_entry(work, address, body, writer=writer_of(call))
        return result

    async def is_free(self, call: ToolInvocation, key: str) -> bool:
        """Whether a new file can have this path; also if this call has written it already."""
        async with transaction_of(self._services, call) as work:
            return await _is_free(work, call, key)

    async def delete(self, call: ToolInvocation, key: str) -> bool:
        """Delete a file, or all files below a path; returns whether there were any."""
        async with transaction_of(self._services, call) as work:
            if await _has_written(work, call):
                return True
            keys = await _list_all(work, call, key)
            for found in keys:
                address = EntryAddress(_namespace(call), found)
                await entries.delete_entry(work, address, writer=writer_of(call))
        return bool(keys)

    async def rename(self, call: ToolInvocation, key: str, new: str) -> bool:
        """Move a file, or all files below a path; returns whether there were any."""
        async with transaction_of(self._services, call) as work:
            if await _has_written(work, call):
                return True
            keys = await _list_all(work, call, key)
            for found in keys:
                await _move(work, call, found, new + found.removeprefix(key))
        return bool(keys)


async def _move(work: UnitOfWork, call: ToolInvocation, key: str, new: str) -> None:
    if (problem := key_problem(new)) is not None:
        raise ToolInputError(f"The path {ROOT}/{new} is invalid. {problem}")
    old = EntryAddress(_namespace(call), key)
    row = await reading.find_entry(work.session, work.caller, old)
    version = row.version
    body = MemoryPut(
        value=row.value,
        memory_type=MemoryType(row.memory_type),
        created_by=row.created_by,
        expires_at=row.expires_at,
    )
    await entries.put_entry(
        work,
        EntryAddress(old.namespace, new),
        body,
        expected={NO_VERSION},
        writer=writer_of(call),
    )
    # What someone else has written meanwhile is not lost.
    await entries.delete_entry(work, old, expected={version}, writer=writer_of(call))


async def _list_all(work: UnitOfWork, call: ToolInvocation, key: str) -> Sequence[str]:
    """The file with this path, and those below it."""
    row = await stored.find(work.session, call.user_id, _namespace(call), key)
    below = await _list_below(work, call, key)
    if len(below) > MOST_FILES:
        raise ToolInputError(
            f"There are more than {MOST_FILES:,} files in this directory; take its parts one by "
            "one."
        )
    return [*([] if row is None else [key]), *(found for found, _ in below)]


async def _list_below(work: UnitOfWork, call: ToolInvocation, key: str) -> FileList:
    return await stored.list_below(
        work.session, call.user_id, _namespace(call), key, limit=MOST_FILES + 1
    )


async def _is_free(work: UnitOfWork, call: ToolInvocation, key: str) -> bool:
    if await _has_written(work, call):
        return True
    return await stored.is_free(work.session, call.user_id, _namespace(call), key)


async def _has_written(work: UnitOfWork, call: ToolInvocation) -> bool:
    """Whether the call wrote before a crash interrupted it; it wrote all in one transaction."""
    written = await uses.find_written(work.session, call.execution_id, call.tool_use_id)
    return written is not None


def _namespace(call: ToolInvocation) -> str:
    files = call.memory.files
    if files is None:
        raise ToolInputError("This execution has no memory.")
    return files.namespace
