"""Memory as clients ask for it and read it."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.http.paging import ResourceQuery, TimelineQuery
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from api.links import BASE
from domain.memory.entries import MemoryType
from persistence.tables.memory import MemoryEntryRow
from services.memory.entries import ANY_VERSION
from services.memory.inputs import Subject
from services.memory.reading import MemoryQuery

LAST_VERSION = ANY_VERSION[-1]


class MemoryEntryRead(Read):
    """An entry as it is now, or as it was in one version. Its ETag is its version."""

    id: UUID
    user_id: UUID
    namespace: str
    key: str
    version: int
    memory_type: MemoryType
    value: Any
    created_by: str | None
    execution_id: UUID | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class MemoryVersionRead(BaseModel):
    """One version of an entry; that of a deletion has no value."""

    model_config = ConfigDict(frozen=True)

    version: int
    memory_type: MemoryType
    value: Any
    is_deletion: bool
    created_by: str | None
    execution_id: UUID | None
    created_at: datetime


class MemoryHistoryQuery(TimelineQuery):
    """The page of the versions of an entry."""

    owner: Subject | None = None


class MemoryListQuery(ResourceQuery):
    """Filters of a list of entries. With `q`, the best matches come first, in numbered pages."""

    owner: Subject | None = None
    namespace_prefix: Annotated[
        str | None,
        Field(
            max_length=200,
            description="A namespace, with those below it: `user:alice` is not `user:alice2`.",
        ),
    ] = None
    type: MemoryType | None = None
    q: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1_000,
            pattern=r"\S",
            description='Words, "a phrase", `or` and `-` as in web searches.',
        ),
    ] = None
    limit: Annotated[
        int | None, Field(ge=1, le=100, description="Another name for `page_size`.")
    ] = None

    def memory_query(self) -> MemoryQuery:
        """The filters."""
        return MemoryQuery(
            owner=self.owner,
            namespace_prefix=self.namespace_prefix,
            memory_type=self.type,
            words=self.q,
        )

    def with_limit(self) -> "MemoryListQuery":
        """The query with `limit` as its page size."""
        if self.limit is None:
            return self
        return self.model_copy(update={"page_size": self.limit})


def render_entry(call: Call, row: MemoryEntryRow, **values: Any) -> MemoryEntryRead:
    """Return an entry with its links, which name the owner if the request did."""
    owner = call.request.query_params.get("owner")
    suffix = f"?{urlencode({'owner': owner})}" if owner else ""
    path = f"{BASE}/memory/{quote(row.namespace, safe=':')}/{quote(row.key)}"
    links = {"self": f"{path}{suffix}", "history": f"{path}/history{suffix}"}
    read = from_row(MemoryEntryRead, row, links=links, **values)
    if read.execution_id is not None:
        links["execution"] = f"{BASE}/task-executions/{read.execution_id}"
    return read
