"""Lists on pages: the filters in the address, and the links to newer and older rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.http.paging import ListQuery, listing
from api.web.visits import Visit
from domain.errors import NotFoundError
from persistence.db.paging import Page
from persistence.sessions.timeline import TimelinePage

Q = TypeVar("Q", bound=BaseModel)

_PLACES = ("cursor", "page")


@dataclass(frozen=True, slots=True)
class PageList:
    """The rows of a list, and the addresses of its first and of its next page."""

    items: Sequence[Any]
    total: int
    is_capped: bool
    first: str | None
    next: str | None


def read_query(request: Request, model: type[Q], *, lists: Collection[str] = ()) -> Q:
    """The filters in the address. Forms send the fields that are left empty; they don't count.

    Raises:
        NotFoundError: a filter is invalid.
    """
    return check_query(_read_given(request, lists), model)


def read_known(request: Request, model: type[Q]) -> tuple[Q, Mapping[str, str]]:
    """The valid filters in the address, and the others, for a list that ignores them.

    Raises:
        NotFoundError: the place in the list is invalid.
    """
    given = _read_given(request)
    try:
        return model.model_validate(given), {}
    except ValidationError as error:
        ignored = {str(problem["loc"][0]) for problem in error.errors()} - set(_PLACES)
    known = {name: value for name, value in given.items() if name not in ignored}
    return check_query(known, model), {name: given[name] for name in sorted(ignored)}


def _read_given(request: Request, lists: Collection[str] = ()) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name in request.query_params:
        values = [value for value in request.query_params.getlist(name) if value.strip()]
        if values:
            given[name] = values if name in lists else values[-1]
    return given


def check_query(given: Mapping[str, Any], model: type[Q]) -> Q:
    """The filters with these values.

    Raises:
        NotFoundError: a filter is invalid.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise NotFoundError("There is no such page.") from error


def make_list(
    visit: Visit, query: ListQuery, page: Page[Any] | TimelinePage[Any], items: Sequence[Any]
) -> PageList:
    """A list as the templates show it."""
    request = visit.call.request
    found = listing(request, query, page, items)
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in _PLACES]
    is_first = query.cursor is None and query.page == 1
    first = f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path
    next_page = found.links.get("next")
    return PageList(
        items, found.total, found.total_is_capped, None if is_first else first, next_page
    )
