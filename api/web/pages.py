"""Pages for browsers: their templates and headers. Every page works without JavaScript."""

from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastapi import Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.http.errors import RETRY_AFTER_SECONDS, status_of
from api.web import assets
from domain.errors import (
    ConflictError,
    NotFoundError,
    PerdureError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UserDisabledError,
)
from domain.text import TypedText

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
        "font-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # With `no-referrer`, browsers send forms with `Origin: null`, which the host policy refuses.
    "Referrer-Policy": "same-origin",
}

_CHANGED = "Another person has changed this meanwhile. Open it again, then repeat your change."
_NOT_FOUND = "This page does not exist, or it belongs to another user."
_REASONS: Mapping[type[PerdureError], tuple[str, str]] = {
    NotFoundError: ("Page not found", _NOT_FOUND),
    PermissionDeniedError: ("Page not found", _NOT_FOUND),
    UserDisabledError: ("Your user is disabled", "Ask an admin to enable it."),
    ServiceUnavailableError: (
        "The service is unavailable",
        "Your work is safe. Wait a few seconds, then reload this page.",
    ),
}


def render(template: str, status: int = 200, **values: Any) -> Response:
    """A page from a template, with our headers."""
    shown = {"viewer": "", "csrf": "", "path": "", "zone": "UTC", "is_admin": False, **values}
    html = environment().get_template(template).render(**shown)
    return HTMLResponse(html, status, HEADERS)


def redirect(path: str) -> Response:
    """Send the browser to another page of ours, with a GET."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, HEADERS)


def render_error(error: PerdureError) -> Response:
    """A page that says what is wrong and what to do."""
    reason = next((_REASONS[c] for c in type(error).__mro__ if c in _REASONS), None)
    title, detail = reason or ("This did not work", error.detail)
    status = status_of(type(error))
    # Like for an agent's tools: a page does not disclose that another user's request exists.
    status = HTTPStatus.NOT_FOUND if detail == _NOT_FOUND else status
    page = render("error.html.j2", status, title=title, detail=detail)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        page.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return page


def render_unsent(
    page: str,
    entries: Mapping[str, Sequence[str]],
    *,
    title: str,
    detail: str,
    button: str,
    status: int = 200,
) -> Response:
    """A page that keeps the fields of a form, and sends them to `page` with a button."""
    fields = [(name, TypedText(value)) for name, values in entries.items() for value in values]
    shown = {"page": page, "fields": fields, "title": title, "detail": detail, "button": button}
    return render("unsent.html.j2", status, **shown)


def render_outage(page: str, entries: Mapping[str, Sequence[str]]) -> Response:
    """The page for a form that may not be stored, because the database is unavailable."""
    response = render_unsent(
        page,
        entries,
        title="The service is unavailable",
        detail="Your text is kept on this page. Wait a few seconds, then send it again.",
        button="Send again",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
    )
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def state_of(row: Any) -> str:
    """The state of a row, which its form sends back."""
    return str(row.updated_at.isoformat())


def require_unchanged(state: str, row: Any) -> None:
    """Refuse a form of an older state; no state is none.

    Raises:
        ConflictError: the row has changed since the form was made.
    """
    if state and state != state_of(row):
        raise ConflictError(_CHANGED)


@cache
def environment() -> "Environment":
    """The environment of the pages. Jinja and a Markdown parser are loaded with the first page."""
    made: Environment = import_module("reports.templating").make_environment("api.web")
    made.filters |= import_module("api.web.formats").FILTERS
    made.globals |= {
        "styles": assets.address_of(assets.STYLES),
        "scripts": [assets.address_of(name) for name in assets.SCRIPTS],
        "icon": assets.address_of(assets.ICON),
        "fonts": [assets.address_of(name) for name in assets.FONTS],
    }
    return made
