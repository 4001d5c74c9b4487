"""The page that a link in a message opens: one input request, answered once without a sign-in.

Programs that check links open it as well, so opening it changes nothing.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api import links
from api.auth.browser_sessions import BrowserSession
from api.auth.principal import Principal
from api.gateway import Gateway
from api.http.request_context import address_of, admit
from api.web import answer_forms
from api.web.page_forms import SHOWN_ERRORS
from api.web.page_route import PageRoute
from api.web.request_views import LinkVisit, render_request
from api.web.visits import Form
from domain.errors import NotFoundError
from persistence.ledger.audit import Actor
from persistence.tables.sessions import InputRequestRow
from services.executions import answer_links
from services.executions.answer_links import AnswerLink

router = APIRouter(prefix=links.ANSWER, include_in_schema=False, route_class=PageRoute)


async def open_link(request: Request, token: str) -> LinkVisit:
    """The visit of a link's reader.

    The path of the request is replaced by one without the link, which is secret: it is logged.

    Raises:
        NotFoundError: we did not make the link.
        ConflictError: it has expired, is used or is void.
        RateLimitedError: too many wrong links from this address, or too many requests.
    """
    request.scope["path"] = f"{links.ANSWER}/…"
    gateway: Gateway = request.app.state.gateway
    try:
        link = AnswerLink.open(gateway.services.links, token)
    except NotFoundError:
        gateway.authenticator.count_refusal(address_of(request))
        raise
    request.scope["path"] = f"{links.ANSWER}/{link.request_id}"
    client = request.client
    actor = Actor(link.user_id, request.scope["request_id"], client.host if client else None)
    async with gateway.database.reading() as reading:
        caller, row = await answer_links.find_linked(reading, link, actor)
    principal = Principal(caller.user_id, caller.subject, is_admin=False, groups=caller.groups)
    call = admit(request, gateway, principal)
    session = BrowserSession(
        user_id=caller.user_id,
        is_admin=False,
        api_key_id=None,
        expires_at=link.expires_at,
        nonce=str(link.message_id),
    )
    return LinkVisit(call, session, link=link, address=f"{links.ANSWER}/{token}", row=row)


Linked = Annotated[LinkVisit, Depends(open_link)]


@router.get("/{token}")  # noqa: FAST003 - `open_link` has it
async def show_linked_request(visit: Linked) -> Response:
    """The request of a link, and the form that answers it."""
    return await render_request(visit, visit.row)


@router.post("/{token}")  # noqa: FAST003 - `open_link` has it
async def answer_linked_request(visit: Linked) -> Response:
    """Answer the request of a link, and show what was stored."""
    form = Form.parse(await visit.call.body())
    try:
        body = answer_forms.read_answer(visit.row, form)
        service = partial(answer_links.answer_by_link, link=visit.link, body=body)
        row: InputRequestRow = await visit.perform(service)
    except SHOWN_ERRORS as error:
        return await render_request(visit, await visit.read_again(), form=form, error=error)
    return await render_request(visit, row)
