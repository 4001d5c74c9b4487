"""Routes of pages: their errors are pages, too."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api import links
from api.http.problems import handle_router_error
from api.web import pages, sign_in
from api.web.visits import Form, read_small_body
from domain.errors import NotFoundError, PerdureError, ServiceUnavailableError, UnauthenticatedError
from persistence.db.outages import is_outage


class PageRoute(APIRoute):
    """A route that leads to the sign-in page without a session, and explains other errors."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler (FastAPI's documented way)."""
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                page = await _explain(request, error)
                if page is None:
                    raise
                return page

        return handle_or_explain


async def _explain(request: Request, error: Exception) -> Response | None:
    """The page for an error; None for an error of ours, which the middleware reports."""
    if isinstance(error, UnauthenticatedError):
        if request.method == "GET":
            return pages.redirect(links.sign_in_path(request.url.path))
        return sign_in.render_ended(request, await read_small_body(request))
    if isinstance(error, PerdureError):
        return pages.render_error(error)
    if isinstance(error, RequestValidationError):
        return pages.render_error(NotFoundError("There is no such page."))
    return await _explain_outage(request) if is_outage(error) else None


async def _explain_outage(request: Request) -> Response:
    """The page while the database is unavailable, which keeps the form that was sent."""
    if request.method == "POST":
        form = Form.parse(await read_small_body(request))
        # A link's secret is no longer in `path`, which is logged (link_routes.py).
        return pages.render_outage(request.scope["raw_path"].decode(), form.entries)
    return pages.render_error(ServiceUnavailableError("The database is unavailable."))


async def handle_unknown_path(request: Request, error: Exception) -> Response:
    """A page for a browser, which asks for HTML first; a problem for other clients."""
    if request.headers.get("Accept", "").startswith("text/html"):
        return pages.render_error(NotFoundError("There is no such page."))
    return await handle_router_error(request, error)
