"""Pages for browsers: their templates, styles and headers. No page needs JavaScript."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi import Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.http.errors import RETRY_AFTER_SECONDS, status_of
from domain.errors import (
    NotFoundError,
    PerdureError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UserDisabledError,
)
from domain.text import harmless
from reports.palette import css_variables
from reports.phrases import format_duration, format_json, format_money, format_time

if TYPE_CHECKING:
    from jinja2 import Environment

STYLES = "/static/inbox.css"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    # With `no-referrer`, browsers send forms with `Origin: null`, which the host policy refuses.
    "Referrer-Policy": "same-origin",
}

_STYLES_FILE = files("api") / "web" / "static" / "inbox.css"

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
    shown = {"viewer": "", "csrf": "", "styles": f"{STYLES}?v={_style_version()}", **values}
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


@cache
def style_sheet() -> str:
    """The style sheet of the pages, with the colours of reports."""
    return css_variables() + _STYLES_FILE.read_text(encoding="utf-8")


@cache
def _style_version() -> str:
    return sha256(style_sheet().encode()).hexdigest()[:12]


class TypedText(str):
    """Text that the viewer typed: a form shows it again without any change."""

    __slots__ = ()


@cache
def environment() -> "Environment":
    """The one environment. It escapes every value; an undefined name is an error.

    Jinja is loaded with the first page, because many gateways serve none.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

    made = Environment(
        loader=PackageLoader("api.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "time": format_time,
        "money": format_money,
        "duration": format_duration,
        "json_text": format_json,
        "parsed": datetime.fromisoformat,
        "dom_id": _make_id,
    }
    return made


def _make_id(name: str) -> str:
    """An id of an element: other attributes list ids with spaces between them."""
    return "_".join(name.split())


def _show_controls(value: object) -> object:
    """A text with its control characters made visible; any other value as it is."""
    if isinstance(value, str) and not isinstance(value, TypedText):
        return harmless(value)
    return value
