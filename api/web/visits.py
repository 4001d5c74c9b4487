"""Requests of browsers that have signed in: `visit: Visiting`, and their cookie.

The cookie gives access to pages only; the API accepts none. Every form of a page contains a text
from the encrypted session, so that no other site can send one (`read_own_form`).
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs, unquote
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response

from api.auth.browser_sessions import BrowserSession
from api.auth.principal import Principal
from api.gateway import Gateway
from api.http.errors import MalformedRequestError, PayloadTooLargeError
from api.http.request_context import Call, admit
from api.web.zones import find_zone
from domain.errors import ConflictError, UnauthenticatedError
from services.unit_of_work import UnitOfWork

CSRF_FIELD = "csrf"

ZONE_COOKIE = "perdure_zone"
"""The time zone of the browser, which `pages.js` stores."""

MOST_FIELDS = 2_000
"""Fields of a form: more than any form of ours has (chosen)."""

SIGN_IN_BYTES = 2 * 1024 * 1024
"""Of a sign-in form, which may contain an answer that was typed before (chosen)."""


T = TypeVar("T")


class FormExpiredError(ConflictError):
    """The form was made for another session."""

    code = "form_expired"


REVIEW_FIELD = "review"
"""In a form that was sent when the session had ended: the person has not sent it again yet."""

FORM_EXPIRED = FormExpiredError(
    "This form is from an earlier session, so nothing was changed. Check it, then send it again."
)


SIGNED_IN_AGAIN = FormExpiredError("You are signed in again. Check the form, then send it.")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form as the browser sent them; lines end with a line feed."""

    entries: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes) -> "Form":
        """Parse a form in the format `application/x-www-form-urlencoded`.

        Raises:
            MalformedRequestError: it is not UTF-8, or has too many fields.
        """
        try:
            entries = parse_qs(
                body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
            )
        except ValueError as error:
            raise MalformedRequestError("The form is not valid; open the page again.") from error
        return cls(
            {
                name: [value.replace("\r\n", "\n").replace("\0", "") for value in values]
                for name, values in entries.items()
            }
        )

    def require_sent(self) -> None:
        """Refuse a form that the person has not sent again after a sign-in.

        Raises:
            FormExpiredError: it is to be shown again, with all that was typed.
        """
        if self.text(REVIEW_FIELD):
            raise SIGNED_IN_AGAIN

    def text(self, name: str) -> str:
        """The first value of a field, or an empty text."""
        values = self.entries.get(name)
        return values[0] if values else ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a browser, and its session."""

    call: Call
    session: BrowserSession

    @property
    def layout(self) -> Mapping[str, Any]:
        """What the layout of every page needs."""
        request = self.call.request
        return {
            "viewer": self.call.principal.subject,
            "is_admin": self.call.principal.is_admin,
            "csrf": self.session.nonce,
            "path": request.url.path,
            "zone": unquote(request.cookies.get(ZONE_COOKIE, "UTC")),
        }

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the browser; UTC if it is unknown."""
        return find_zone(self.layout["zone"])

    async def perform(self, service: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Run a service in one transaction on behalf of the viewer."""
        async with self.call.services.transaction(self.call.caller) as work:
            return await service(work)

    def owns_form(self, form: Form) -> bool:
        """Whether a page of this session contained the form."""
        sent = form.text(CSRF_FIELD).encode()
        return secrets.compare_digest(sent, self.session.nonce.encode())

    def require_own_form(self, form: Form) -> None:
        """Refuse a form of another site or another session.

        Raises:
            FormExpiredError: the form was not made for this session.
        """
        if not self.owns_form(form):
            raise FORM_EXPIRED


async def require_sign_in(request: Request) -> Visit:
    """The dependency of every page except sign-in.

    Raises:
        UnauthenticatedError: the browser has no session, or it has ended.
        UserDisabledError: an admin has disabled the user.
        RateLimitedError: the user sent too many requests.
    """
    gateway: Gateway = request.app.state.gateway
    cookie = request.cookies.get(cookie_name(request))
    if not cookie:
        raise UnauthenticatedError("Sign in to open this page.")
    session = gateway.browser_sessions.open(cookie, "browser session")

    async def resume() -> Principal:
        return await gateway.authenticator.resume(session)

    return Visit(admit(request, gateway, await resume(), authenticate_again=resume), session)


Visiting = Annotated[Visit, Depends(require_sign_in)]


async def read_own_form(visit: Visiting) -> Form:
    """The dependency that reads a form of this session.

    Raises:
        FormExpiredError: the form was not made for this session.
    """
    form = Form.parse(await visit.call.body())
    visit.require_own_form(form)
    return form


OwnForm = Annotated[Form, Depends(read_own_form)]


async def _check_button(form: OwnForm) -> None:
    if form.text(REVIEW_FIELD):
        raise FORM_EXPIRED


FORM_IS_OWN = Depends(_check_button)
"""For routes whose form is a button of a page of this session."""


async def read_small_body(request: Request) -> bytes:
    """The body of a request without a session, or a body that was read before.

    Raises:
        PayloadTooLargeError: it has more than `SIGN_IN_BYTES`.
    """
    if (read := getattr(request.state, "body", None)) is not None:
        return bytes(read)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > SIGN_IN_BYTES:
            raise PayloadTooLargeError("This form is too long; open the page again.")
    request.state.body = bytes(body)
    return bytes(body)


def set_cookie(request: Request, response: Response, session: BrowserSession) -> None:
    """Sign the browser in: scripts can't read the cookie, and other sites can't send it."""
    gateway: Gateway = request.app.state.gateway
    response.set_cookie(
        cookie_name(request),
        gateway.browser_sessions.seal(session, "browser session"),
        expires=int(session.expires_at),
        path="/",
        secure=is_https(request),
        httponly=True,
        samesite="lax",
    )


def delete_cookie(request: Request, response: Response) -> None:
    """Sign the browser out."""
    response.delete_cookie(
        cookie_name(request), secure=is_https(request), httponly=True, samesite="lax"
    )


def cookie_name(request: Request) -> str:
    """The name of the cookie.

    With TLS, browsers protect it from other hosts of the domain (`__Host-`). Without, it contains
    the port: browsers send a cookie to all ports, and several gateways may run on one machine.
    """
    if is_https(request):
        return "__Host-perdure_session"
    return f"perdure_session_{request.url.port or 80}"


def is_https(request: Request) -> bool:
    """Whether browsers reach the gateway with TLS."""
    gateway: Gateway = request.app.state.gateway
    public_url = gateway.settings.public_url or ""
    return request.url.scheme == "https" or public_url.startswith("https:")
