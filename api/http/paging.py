"""The query parameters and the response format of all lists."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import FieldProblem, InvalidInputError
from domain.ids import first_id_at, ids_of_prefix, last_id_before
from domain.secrets import from_url_text, to_url_text
from persistence.db.paging import Page, Window
from persistence.sessions.timeline import TimelinePage, TimelineRange
from services.field_types import Moment

PAGE_SIZE = 20
LARGEST_PAGE = 100
TIMELINE_PAGE_SIZE = 100
"""Clients usually read events, messages and calls completely, from the beginning."""

DEEPEST_PAGE = 10_000
"""Higher page numbers cost more (skipping a million rows takes 0.2 s); cursors do not."""

LAST_SEQ = 2**31 - 1
"""The largest event number."""

PageNumber = Annotated[int, Field(ge=1, le=DEEPEST_PAGE)]
PageSize = Annotated[int, Field(ge=1, le=LARGEST_PAGE)]
IdRange = tuple[UUID | None, UUID | None]
"""The first and the last id; None is no bound."""

Cursor = Annotated[str, Field(max_length=200, description="`next_cursor` of the previous page.")]


def split_values(value: Any) -> Any:
    """Split the values of a filter at commas: `a,b` becomes `a` and `b`."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        return value
    return [part.strip() for item in given for part in item.split(",")]


class ListQuery(BaseModel):
    """The page to return. `cursor` overrides `page`. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    page: PageNumber = 1
    page_size: PageSize = PAGE_SIZE
    cursor: Cursor | None = None

    def filters(self) -> dict[str, Any]:
        """The filters: the fields that a list has in addition."""
        common = {
            name
            for query in _COMMON_QUERIES
            if isinstance(self, query)
            for name in query.model_fields
        }
        return {name: value for name, value in self if name not in common}

    def window(self) -> Window:
        """The rows to read from a list that is newest first."""
        if self.cursor is None:
            return Window(self.page_size, offset=(self.page - 1) * self.page_size)
        try:
            return Window(self.page_size, before=UUID(bytes=from_url_text(self.cursor)))
        except ValueError:
            raise _bad_cursor() from None


class ResourceQuery(ListQuery):
    """The page to return of a list of resources, narrowed to a range of their ids.

    Ids contain the time of their creation.
    """

    id_prefix: Annotated[
        str | None, Field(max_length=36, description="How the ids begin, as `01a1fc50-d4`.")
    ] = None
    created_from: Annotated[Moment | None, Field(description="Created then or later.")] = None
    created_to: Annotated[Moment | None, Field(description="Created before then.")] = None

    def window(self) -> Window:
        """The rows to read from a list that is newest first."""
        ranges = [self.created_ids(), self._ids_of_prefix()]
        firsts = [first for first, _ in ranges if first is not None]
        lasts = [last for _, last in ranges if last is not None]
        first, last = max(firsts, default=None), min(lasts, default=None)
        return replace(super().window(), first=first, last=last)

    def created_ids(self) -> IdRange:
        """The ids of what was created in the time that is asked for."""
        first = None if self.created_from is None else first_id_at(self.created_from)
        return first, None if self.created_to is None else last_id_before(self.created_to)

    def _ids_of_prefix(self) -> IdRange:
        if self.id_prefix is None:
            return None, None
        named = ids_of_prefix(self.id_prefix)
        if named is None:
            hint = "Send the beginning of an id: hexadecimal digits with their hyphens."
            problem = FieldProblem(("query", "id_prefix"), hint)
            raise InvalidInputError("No id begins like this.", [problem])
        return named


class OwnedQuery(ResourceQuery):
    """The page to return of a list of the caller's resources, or for admins of others'."""

    user_id: Annotated[
        UUID | None, Field(description="Those of this user; admins only. The audit log has it.")
    ] = None
    all_users: Annotated[
        bool, Field(description="Those of all users; admins only. The audit log has it.")
    ] = False


_COMMON_QUERIES: tuple[type[ListQuery], ...] = (ListQuery, ResourceQuery, OwnedQuery)


class TimelineQuery(ListQuery):
    """The page of a timeline, which is oldest first."""

    page_size: PageSize = TIMELINE_PAGE_SIZE

    def span(self) -> TimelineRange:
        """The rows to read."""
        if self.cursor is None:
            return TimelineRange(self.page_size, offset=(self.page - 1) * self.page_size)
        try:
            after = int(from_url_text(self.cursor))
        except ValueError:
            raise _bad_cursor() from None
        if not 0 <= after <= LAST_SEQ:
            raise _bad_cursor()
        return TimelineRange(self.page_size, after=after)


Item = TypeVar("Item")


class Listing(BaseModel, Generic[Item]):
    """A page of a list. `page` is null if the request contains a cursor."""

    items: list[Item]
    total: int
    total_is_capped: bool
    page: int | None
    page_size: int
    next_cursor: str | None
    links: dict[str, str] = Field(serialization_alias="_links")


def listing(
    request: Request, query: ListQuery, page: Page[Any] | TimelinePage[Any], items: Sequence[Any]
) -> Listing[Any]:
    """The response for one page; the cursor is the last row's id or timeline position."""
    cursor = next_cursor(page)
    links = {"self": address(request)}
    place = ("cursor", cursor) if cursor else None
    if isinstance(page, Page) and page.is_ranked and page.has_more:
        place = ("page", str(query.page + 1))
    if place:
        kept = [(k, v) for k, v in request.query_params.multi_items() if k not in _PLACES]
        links["next"] = f"{request.url.path}?{urlencode([*kept, place])}"
    return Listing(
        items=list(items),
        total=page.total,
        total_is_capped=page.is_capped,
        page=query.page if query.cursor is None else None,
        page_size=query.page_size,
        next_cursor=cursor,
        links=links,
    )


_PLACES = ("page", "cursor")


def next_cursor(page: Page[Any] | TimelinePage[Any]) -> str | None:
    """The cursor of the next page, if there is one."""
    if isinstance(page, Page):
        has_cursor = page.has_more and not page.is_ranked
        return to_url_text(page.rows[-1].id.bytes) if has_cursor else None
    return None if page.next_after is None else to_url_text(str(page.next_after).encode())


def address(request: Request) -> str:
    """The path and query of the request."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def public_address(request: Request) -> str:
    """The URL of the gateway, without a slash at the end."""
    public: str | None = request.app.state.gateway.settings.public_url
    return (public or str(request.base_url)).rstrip("/")


def _bad_cursor() -> InvalidInputError:
    problem = FieldProblem(
        ("query", "cursor"), "Send the `next_cursor` of the previous page unchanged."
    )
    return InvalidInputError("The cursor is invalid; see errors.", [problem])
