"""Pages on which a browser signs in and out."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from api import links
from api.gateway import Gateway
from api.web import pages
from api.web import sign_in as forms
from api.web.page_route import PageRoute
from api.web.visits import Form, Visiting, delete_cookie, read_small_body, set_cookie
from domain.errors import (
    RateLimitedError,
    ServiceUnavailableError,
    UnauthenticatedError,
    UserDisabledError,
)
from services.identity import sign_ins

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get(links.SIGN_IN)
async def sign_in_page(request: Request, next: str = "", code: str = "") -> Response:  # noqa: A002 - the query
    """The page on which a person enters a token, or confirms a one-time link.

    Opening it never uses up a code, because programs that check links open them, too.
    """
    gateway: Gateway = request.app.state.gateway
    gateway.browser_sessions.require_key()
    return forms.render_form(next, code=code, provider=request.app.state.identity_provider)


@router.post(links.SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Start a session, and lead to the page that the person wanted."""
    form = Form.parse(await read_small_body(request))
    page, unsent = forms.local_page(form.text("next")), form.text(forms.UNSENT_FIELD)
    try:
        session = await forms.start_session(request, form)
    except (UnauthenticatedError, UserDisabledError, RateLimitedError) as error:
        provider = request.app.state.identity_provider
        return forms.render_form(page, error=error, unsent=unsent, provider=provider)
    response = pages.redirect(page)
    if unsent:
        response = forms.render_unsent(page, Form.parse(unsent.encode()), session)
    set_cookie(request, response, session)
    return response


@router.get("/sign-in/provider")
async def sign_in_at_provider(request: Request, next: str = "") -> Response:  # noqa: A002 - the query
    """Send the browser to the identity provider."""
    return await forms.start_at_provider(request, forms.local_page(next))


@router.get(forms.CALLBACK)
async def finish_at_provider(request: Request) -> Response:
    """Start a session for the person whom the identity provider names."""
    try:
        page, session = await forms.finish_at_provider(request)
    except (UnauthenticatedError, UserDisabledError, ServiceUnavailableError) as error:
        return forms.render_form("", error=error, provider=request.app.state.identity_provider)
    response = pages.redirect(page)
    response.delete_cookie(forms.ATTEMPT_COOKIE, path=links.SIGN_IN)
    set_cookie(request, response, session)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, visit: Visiting) -> Response:
    """End the session of this browser."""
    visit.require_own_form(Form.parse(await visit.call.body()))
    expires_at = datetime.fromtimestamp(visit.session.expires_at, UTC)
    async with visit.call.services.transaction(visit.call.caller) as work:
        await sign_ins.sign_out(work, session_id=visit.session.nonce, expires_at=expires_at)
    response = await forms.render_signed_out(request, visit.session)
    delete_cookie(request, response)
    return response
