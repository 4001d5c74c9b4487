"""The sign-in of browsers: the check of a token or a one-time code, and its pages."""

import contextlib
import re
import time
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request, Response

from api import links
from api.auth.browser_sessions import BrowserSession
from api.auth.identity_providers import (
    ATTEMPT_LIFETIME,
    SESSION_LIFETIME,
    IdentityProvider,
    SignInAttempt,
)
from api.gateway import Gateway
from api.http.errors import status_of
from api.http.paging import public_address
from api.http.request_context import Call, address_of
from api.web import pages
from api.web.visits import CSRF_FIELD, REVIEW_FIELD, Form
from domain.errors import (
    NotFoundError,
    PerdureError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from domain.text import TypedText
from services.identity import sign_ins

UNSENT_FIELD = "unsent"
"""The form that was sent when the session had ended; it is kept until the person has signed in."""

CALLBACK = f"{links.SIGN_IN}/callback"
"""The path to which the identity provider sends the browser back."""

ATTEMPT_COOKIE = "perdure_sign_in"

_LOCAL_PATH = re.compile(links.LOCAL_PATH)


async def start_session(request: Request, form: Form) -> BrowserSession:
    """Check the token or the code of a sign-in form.

    Raises:
        UnauthenticatedError: it is not valid, or the code was used before.
        UserDisabledError: an admin has disabled the user.
        RateLimitedError: too many attempts from this address failed.
    """
    gateway: Gateway = request.app.state.gateway
    gateway.browser_sessions.require_key()
    address, code_id = address_of(request), None
    if form.text("code"):
        try:
            code = gateway.browser_sessions.open(form.text("code"), "sign-in code")
            principal = await gateway.authenticator.resume(code)
        except UnauthenticatedError:
            gateway.authenticator.count_refusal(address)
            raise
        code_id = code.nonce
    else:
        token = "".join(form.text("token").split())
        principal = await gateway.authenticator.authenticate(f"Bearer {token}", address)
    caller = Call(request, gateway, principal).caller
    async with gateway.services.transaction(caller) as work:
        await sign_ins.sign_in(work, code_id=code_id)
    return BrowserSession.of(principal)


def render_form(
    page: str,
    *,
    code: str = "",
    error: PerdureError | None = None,
    unsent: str = "",
    provider: IdentityProvider | None = None,
) -> Response:
    """The sign-in page. `page` follows it; `unsent` is a form that was sent without a session."""
    return pages.render(
        "sign_in.html.j2",
        HTTPStatus.OK if error is None else status_of(type(error)),
        next=local_page(page),
        code=code,
        provider="" if provider is None else urlsplit(provider.issuer).netloc,
        error=error,
        unsent=TypedText(unsent),
    )


async def start_at_provider(request: Request, page: str) -> Response:
    """Send the browser to the identity provider, from which it returns to `CALLBACK`.

    Raises:
        NotFoundError: the operator has named no provider.
        ServiceUnavailableError: the provider does not answer.
    """
    gateway: Gateway = request.app.state.gateway
    gateway.browser_sessions.require_key()
    provider = _require_provider(request)
    attempt = SignInAttempt.start(page, f"{public_address(request)}{CALLBACK}")
    response = pages.redirect(await provider.make_address(attempt))
    response.set_cookie(
        ATTEMPT_COOKIE,
        gateway.browser_sessions.seal_attempt(attempt),
        max_age=int(ATTEMPT_LIFETIME.total_seconds()),
        path=links.SIGN_IN,
        secure=attempt.callback.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return response


async def finish_at_provider(request: Request) -> tuple[str, BrowserSession]:
    """The page that the person wanted, and a session.

    Raises:
        UnauthenticatedError: the provider refused, or this browser has started no sign-in.
        UserDisabledError: an admin has disabled the user.
        ServiceUnavailableError: the provider does not answer.
    """
    gateway: Gateway = request.app.state.gateway
    attempt = gateway.browser_sessions.open_attempt(request.cookies.get(ATTEMPT_COOKIE, ""))
    claims = await _require_provider(request).finish(attempt, str(request.url))
    ends_at = time.time() + SESSION_LIFETIME.total_seconds()
    principal = await gateway.authenticator.admit(replace(claims, expires_at=ends_at))
    caller = Call(request, gateway, principal).caller
    async with gateway.services.transaction(caller) as work:
        await sign_ins.sign_in(work, method="provider")
    return attempt.page, BrowserSession.of(principal, is_from_provider=True)


async def render_signed_out(request: Request, session: BrowserSession) -> Response:
    """The page after a sign-out; it leads on to the sign-out of the identity provider, if any.

    A redirect could not: browsers apply `form-action` to the redirects of a form.
    """
    provider: IdentityProvider | None = request.app.state.identity_provider
    address = None
    if provider is not None and session.is_from_provider:
        with contextlib.suppress(ServiceUnavailableError):
            return_to = f"{public_address(request)}{links.SIGN_IN}"
            address = await provider.make_sign_out_address(return_to)
    if provider is None or address is None:
        return pages.redirect(links.SIGN_IN)
    name = urlsplit(provider.issuer).netloc
    return pages.render("signed_out.html.j2", address=address, provider=name)


def _require_provider(request: Request) -> IdentityProvider:
    provider: IdentityProvider | None = request.app.state.identity_provider
    if provider is None:
        raise NotFoundError("People do not sign in at an identity provider here.")
    return provider


def render_ended(request: Request, form: bytes) -> Response:
    """The sign-in page for a form that was sent when the session had ended."""
    error = UnauthenticatedError("Your session has ended. Sign in again; your answer is kept.")
    return render_form(
        request.url.path,
        error=error,
        unsent=form.decode(errors="replace"),
        provider=request.app.state.identity_provider,
    )


def render_unsent(page: str, form: Form, session: BrowserSession) -> Response:
    """The page that leads back to the form that was not sent, with all that was typed."""
    left_out = {CSRF_FIELD, REVIEW_FIELD, "decision"}
    typed = {name: values for name, values in form.entries.items() if name not in left_out}
    return pages.render_unsent(
        page,
        {CSRF_FIELD: [session.nonce], REVIEW_FIELD: ["1"], **typed},
        title="You are signed in",
        detail="Your answer is not sent yet. Check it, then send it again.",
        button="Back to your answer",
    )


def local_page(page: str) -> str:
    """The path, if it is one of this gateway; otherwise that of the inbox."""
    return page if _LOCAL_PATH.fullmatch(page) else links.INBOX
