"""Tools of the group `memory`: knowledge that outlives conversations and executions."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool, ToolArguments, ToolResult
from api.mcp.results import PART_CHARACTERS, cut_to_fit
from api.mcp.views import View
from definitions.memory import Key, Namespace
from domain.memory.entries import LONGEST_QUERY, MOST_FOUND, MemoryType
from domain.text import as_text
from persistence.db.paging import Window
from persistence.tables.memory import MemoryEntryRow
from services.executions.access import get_own_execution
from services.memory import entries, reading, versions
from services.memory.entries import ANY_VERSION, NO_VERSION, EntryWriter
from services.memory.inputs import MemoryPut, Subject
from services.memory.reading import EntryAddress, MemoryQuery
from services.unit_of_work import UnitOfWork

OwnerName = Annotated[
    Subject | None, Field(description="The user who shares the namespace; null: your own.")
]


class EntryArguments(ToolArguments):
    """Which entry is meant."""

    namespace: Annotated[Namespace, Field(description="Such as user:alice or project:x:specs.")]
    key: Key
    owner: OwnerName = None

    @property
    def address(self) -> EntryAddress:
        """Where it is."""
        return EntryAddress(self.namespace, self.key, self.owner)


class EntryView(View):
    """An entry, or one version of it."""

    namespace: str
    key: str
    version: int
    memory_type: MemoryType
    value: Any
    created_by: str | None
    task_id: Annotated[UUID | None, Field(description="The execution that wrote it.")]
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class MemoryEntryResult(EntryView, ToolResult):
    """One entry."""


def _view_entry(row: MemoryEntryRow, **values: Any) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in EntryView.model_fields if name != "task_id"}
    return {**own, "task_id": row.execution_id, **values}


class MemoryAddArguments(EntryArguments):
    """A new entry."""

    value: Annotated[Any, Field(description="Text, or any other JSON value but null.")]
    memory_type: Annotated[
        MemoryType, Field(description="semantic: facts; episodic: events; procedural: how-to.")
    ] = MemoryType.SEMANTIC
    created_by: Annotated[str | None, Field(max_length=255)] = None
    task_id: Annotated[UUID | None, Field(description="The execution that writes it.")] = None


async def _check_execution(work: UnitOfWork, execution_id: UUID | None) -> None:
    if execution_id is not None:
        await get_own_execution(work.session, work.caller, execution_id)


async def _add(context: ToolContext, arguments: MemoryAddArguments) -> MemoryEntryResult:
    body = MemoryPut(
        value=arguments.value,
        memory_type=arguments.memory_type,
        created_by=arguments.created_by,
    )
    async with context.transaction() as work:
        await _check_execution(work, arguments.task_id)
        stored = await entries.put_entry(
            work,
            arguments.address,
            body,
            expected={NO_VERSION},
            writer=EntryWriter(arguments.task_id),
        )
    next_step = "The entry is stored. Change it with memory_update, find it with memory_search."
    return MemoryEntryResult(**_view_entry(stored.row), next_step=next_step)


class MemoryUpdateArguments(EntryArguments):
    """A new version of an entry. What is omitted stays as it is."""

    value: Annotated[Any, Field(description="The whole new value.")]
    expected_version: Annotated[
        int | None,
        Field(ge=1, description="Refuse the change if the entry has another version by now."),
    ] = None
    task_id: Annotated[UUID | None, Field(description="The execution that writes it.")] = None


async def _update(context: ToolContext, arguments: MemoryUpdateArguments) -> MemoryEntryResult:
    version = arguments.expected_version
    async with context.transaction() as work:
        await _check_execution(work, arguments.task_id)
        stored = await entries.put_entry(
            work,
            arguments.address,
            MemoryPut(value=arguments.value),
            expected=ANY_VERSION if version is None else {version},
            writer=EntryWriter(arguments.task_id),
        )
    next_step = "The new version is stored; memory_get with `version` reads earlier ones."
    return MemoryEntryResult(**_view_entry(stored.row), next_step=next_step)


class MemoryGetArguments(EntryArguments):
    """An entry, or one version of it."""

    version: Annotated[int | None, Field(ge=1, description="null: the present one.")] = None
    offset: Annotated[
        int,
        Field(ge=0, description="First character to read: `next_offset` of the last result."),
    ] = 0


class MemoryPartResult(MemoryEntryResult):
    """One entry, or a part of a long one: then `value` is a part of its text or JSON."""

    next_offset: Annotated[int | None, Field(description="null at the end of the value.")]


async def _get(context: ToolContext, arguments: MemoryGetArguments) -> MemoryPartResult:
    async with context.reading() as session:
        found = await versions.find_version(
            session, context.caller, arguments.address, arguments.version
        )
    old = {} if found.version is None else versions.version_fields(found.version)
    values = {("task_id" if name == "execution_id" else name): v for name, v in old.items()}
    view = _view_entry(found.row, **values)
    view["value"], next_offset = _cut_value(view["value"], arguments.offset)
    next_step = "Use the value. Change it with memory_update if it is no longer true."
    if next_offset is not None:
        next_step = (
            f"This is a part of the value. Call memory_get again with offset {next_offset} and "
            f"version {view['version']} for the next one."
        )
    return MemoryPartResult(**view, next_offset=next_offset, next_step=next_step)


def _cut_value(value: Any, offset: int) -> tuple[Any, int | None]:
    """The value, or a part of its text that fits into a result, and where the next part begins."""
    text = as_text(value)
    part = cut_to_fit(text[offset : offset + PART_CHARACTERS])
    if part == text:
        return value, None
    end = offset + len(part)
    return part, end if end < len(text) else None


class MemorySearchArguments(ToolArguments):
    """Which entries to find."""

    namespace_prefix: Annotated[
        str | None,
        Field(max_length=200, description="A namespace with those below it; null: all of yours."),
    ] = None
    memory_type: MemoryType | None = None
    q: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST_QUERY,
            pattern=r"\S",
            description='Words, "a phrase", `or` and `-` as in web searches; null: newest first.',
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_FOUND)] = 50
    owner: OwnerName = None


class MemorySearchResult(ToolResult):
    """The entries that were found, best or newest first."""

    entries: list[EntryView]
    total_count: Annotated[int, Field(description="At most 10,000 are counted.")]
    has_more: bool


async def _search(context: ToolContext, arguments: MemorySearchArguments) -> MemorySearchResult:
    query = MemoryQuery(
        owner=arguments.owner,
        namespace_prefix=arguments.namespace_prefix,
        memory_type=arguments.memory_type,
        words=arguments.q,
    )
    find = partial(reading.list_entries, context.call.services)
    async with context.reading() as session:
        page = await find(session, context.caller, query, Window(arguments.limit))
    return MemorySearchResult(
        entries=[EntryView(**_view_entry(row)) for row in page.rows],
        total_count=page.total,
        has_more=page.has_more,
        next_step=(
            "Use the values. memory_get reads one that is shortened."
            if page.rows
            else "Nothing was found; try other words or a shorter namespace_prefix."
        ),
    )


class MemoryDeleted(ToolResult):
    """An entry that was deleted."""

    namespace: str
    key: str


async def _delete(context: ToolContext, arguments: EntryArguments) -> MemoryDeleted:
    async with context.transaction() as work:
        await entries.delete_entry(work, arguments.address)
    next_step = "Earlier versions stay readable with memory_get; memory_add writes it again."
    return MemoryDeleted(namespace=arguments.namespace, key=arguments.key, next_step=next_step)


ADD = AgentTool(
    name="memory_add",
    group="memory",
    title="Remember something",
    description=(
        "Store a new entry that outlives this conversation, under a namespace (parts joined by "
        "colons, such as user:alice or task:ID:specs) and a key. Refused if the entry exists: then "
        "use memory_update. Episodic entries expire after 90 days."
    ),
    arguments=MemoryAddArguments,
    result=MemoryEntryResult,
    handler=_add,
)
GET = AgentTool(
    name="memory_get",
    group="memory",
    title="Read a memory entry",
    description=(
        "Read one entry by namespace and key, as it is now or as it was in an earlier version. A "
        "long value comes in parts: continue with offset = next_offset. Use memory_search if you "
        "don't know the key."
    ),
    arguments=MemoryGetArguments,
    result=MemoryPartResult,
    handler=_get,
    is_read_only=True,
)
SEARCH = AgentTool(
    name="memory_search",
    group="memory",
    title="Search memory",
    description=(
        "Find entries by words (best first), or list them (newest first). namespace_prefix limits "
        "the search to a namespace and those below it: user:alice does not include user:alice2. "
        "Only present versions are searched."
    ),
    arguments=MemorySearchArguments,
    result=MemorySearchResult,
    handler=_search,
    is_read_only=True,
)
UPDATE = AgentTool(
    name="memory_update",
    group="memory",
    title="Change a memory entry",
    description=(
        "Replace the value of an entry by a new version; its type and author stay. Send "
        "expected_version, the version that you read, so that you overwrite nothing that someone "
        "else has written meanwhile. Refused if the entry does not exist: then use memory_add."
    ),
    arguments=MemoryUpdateArguments,
    result=MemoryEntryResult,
    handler=_update,
    is_idempotent=True,
)
DELETE = AgentTool(
    name="memory_delete",
    group="memory",
    title="Forget a memory entry",
    description=(
        "Delete an entry. It is no longer found, but its versions stay readable with memory_get, "
        "and memory_add can write it again."
    ),
    arguments=EntryArguments,
    result=MemoryDeleted,
    handler=_delete,
    is_destructive=True,
)
