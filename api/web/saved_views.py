"""Views of the inbox that a person saves under a name. The browser keeps them, in a cookie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import quote, unquote

from fastapi import Request, Response

from api import links
from domain.errors import InvalidInputError

COOKIE = "perdure_views"
MOST_VIEWS = 12
"""As many as fit above a list, and into a cookie (chosen)."""

LONGEST_NAME = 40
LONGEST_QUERY = 200
_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class SavedView:
    """Filters under a name; `query` is the part of the address after `?`."""

    name: str
    query: str


def read_views(request: Request) -> Sequence[SavedView]:
    """The views that the browser keeps; none if the cookie can't be read."""
    try:
        stored = json.loads(unquote(request.cookies.get(COOKIE, "[]")))
        views = [SavedView(str(view["name"]), str(view["query"])) for view in stored]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    return views[:MOST_VIEWS]


def add_view(views: Sequence[SavedView], name: str, query: str) -> Sequence[SavedView]:
    """The views with a new one, which replaces one of the same name.

    Raises:
        InvalidInputError: it has no name, or there are too many.
    """
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or len(query) > LONGEST_QUERY:
        raise InvalidInputError(f"Give the view a name of at most {LONGEST_NAME} characters.")
    others = remove_view(views, name)
    if len(others) >= MOST_VIEWS:
        raise InvalidInputError(f"You can save {MOST_VIEWS} views; remove one first.")
    return [*others, SavedView(name, query)]


def remove_view(views: Sequence[SavedView], name: str) -> Sequence[SavedView]:
    """The views without the one of this name."""
    return [view for view in views if view.name != name]


def keep_views(response: Response, views: Sequence[SavedView], *, secure: bool) -> None:
    """Let the browser keep the views."""
    value: Sequence[Mapping[str, str]] = [asdict(view) for view in views]
    response.set_cookie(
        COOKIE,
        quote(json.dumps(value, ensure_ascii=False)),
        max_age=_YEAR,
        path=links.INBOX,
        secure=secure,
        httponly=True,
        samesite="lax",
    )
