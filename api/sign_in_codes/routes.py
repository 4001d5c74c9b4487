"""Routes of one-time codes, with which a person who has a token signs in a browser."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.auth.browser_sessions import CODE_LIFETIME, BrowserSession
from api.http.bodies import JsonBody
from api.http.idempotency import ResponseWithSecret, run_service
from api.http.paging import public_address
from api.http.request_context import Call, Called
from api.http.responses import JSON, to_json
from api.http.schemas import Read
from services.field_types import Body
from services.identity import sign_ins


class SignInCodeCreate(Body):
    """The page to open after the sign-in: a path of this gateway."""

    next: Annotated[str, Field(max_length=2000, pattern=links.LOCAL_PATH)] = links.INBOX


class SignInCodeCreated(Read):
    """A one-time code. The link opens a page that signs in the browser as you."""

    url: Annotated[
        str | None,
        Field(description="Valid once; null in the response to a repeated request."),
    ]
    expires_at: datetime


router = APIRouter(prefix=f"{links.BASE}/sign-in-codes", tags=["users"])


@router.post("", status_code=201, responses={201: {"model": SignInCodeCreated}})
async def create_sign_in_code(
    call: Called,
    body: Annotated[SignInCodeCreate, Depends(JsonBody(SignInCodeCreate, optional=True))],
) -> Response:
    """Create a link that signs in a browser as you, once and within five minutes."""
    call.gateway.browser_sessions.require_key()
    expires_at = datetime.now(UTC) + CODE_LIFETIME
    service = partial(sign_ins.create_code, expires_at=expires_at)
    return await run_service(call, service, partial(_render, expires_at=expires_at, page=body.next))


async def _render(
    call: Call, _: AsyncSession, __: None, *, expires_at: datetime, page: str
) -> Response:
    session = BrowserSession.of(call.principal)
    code = call.gateway.browser_sessions.seal(session, "sign-in code")
    url = f"{public_address(call.request)}{links.SIGN_IN}?{urlencode({'next': page, 'code': code})}"
    made = SignInCodeCreated(url=url, expires_at=expires_at, links={"page": page})
    response = ResponseWithSecret(to_json(made), 201, media_type=JSON)
    hidden = made.model_copy(update={"url": None})
    response.kept = Response(to_json(hidden), 201, media_type=JSON)
    return response
