"""Imports: write many entries of the caller, as an export has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from domain.errors import FieldProblem, InvalidInputError
from services.memory.entries import StoredEntry, check_content, put_entry
from services.memory.inputs import MemoryImport, MemoryPut
from services.memory.reading import EntryAddress
from services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class ImportedEntries:
    """The written entries, and how many had expired and were left out."""

    stored: Sequence[StoredEntry]
    expired: int


async def import_entries(work: UnitOfWork, body: MemoryImport) -> ImportedEntries:
    """Write several entries of the caller: all of them or none.

    Entries that have expired since the export count as deleted and are left out.

    Raises:
        InvalidInputError: entries are invalid; the problems name them by their places.
        QuotaExceededError: the caller stores too much.
    """
    now = datetime.now(UTC)
    expired = {
        at for at, item in enumerate(body.items) if item.expires_at and item.expires_at <= now
    }
    current = [(at, item) for at, item in enumerate(body.items) if at not in expired]
    if problems := [found for at, item in current for found in _find_problems(at, item)]:
        raise InvalidInputError("The entries are invalid; see errors.", problems)
    work.is_one_service = False  # all writes in one transaction
    # All imports lock entries in one order.
    items = sorted((item for _, item in current), key=lambda item: (item.namespace, item.key))
    stored = [await put_entry(work, EntryAddress(item.namespace, item.key), item) for item in items]
    return ImportedEntries(stored, len(expired))


def _find_problems(at: int, item: MemoryPut) -> Iterator[FieldProblem]:
    try:
        check_content(item)
    except InvalidInputError as error:
        for problem in error.problems:
            yield replace(problem, loc=("body", "items", at, *problem.loc[1:]))
