"""The interactivity URL of a Slack app: people click on the buttons of our messages.

Slack signs each request (Slack, "Verifying requests from Slack"). Its answer is shown by a second
request, to the `response_url` of the click.
"""

import hashlib
import hmac
import json
import math
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode

import structlog
from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from api import links
from api.auth.principal import Principal
from api.gateway import Gateway
from api.http.errors import MalformedRequestError
from api.http.paging import public_address
from api.http.request_context import Call, address_of, admit
from api.web.visits import read_small_body
from domain.errors import NotFoundError, OutboundError, PerdureError, UnauthenticatedError
from domain.text import escape_slack
from persistence.identity import users
from persistence.ledger.audit import Actor
from services.executions.answer_links import make_person
from services.executions.slack_buttons import answer_by_button
from services.identity.slack_accounts import SlackAccount

router = APIRouter(prefix="/slack", include_in_schema=False)

log = structlog.get_logger(__name__)

LONGEST_DELAY_SECONDS = 300
"""Between Slack's clock and ours (Slack, "Verifying requests from Slack")."""

_TIME = re.compile(r"[0-9]{1,12}")

BUTTONS_ARE_OFF = "Slack buttons are off here. Ask an operator to set PERDURE_SLACK_SIGNING_SECRET."


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a button: whose, which, and where its outcome is shown."""

    account: SlackAccount
    value: str
    response_url: str
    title: str
    """The text of the message, in Slack's markup."""

    @classmethod
    def parse(cls, body: bytes) -> "Click | None":
        """Read a signed request; None for one that is no click on a button of ours.

        Raises:
            MalformedRequestError: Slack does not send such requests.
        """
        try:
            given = json.loads(parse_qs(body.decode())["payload"][0])
            actions = [a for a in given.get("actions", ()) if a.get("type") == "button"]
            if given["type"] != "block_actions" or not actions or "value" not in actions[0]:
                return None
            user, team = given["user"], given.get("team") or {}
            return cls(
                SlackAccount(
                    f"{team.get('id') or user['team_id']}/{user['id']}",
                    str(user.get("username") or user.get("name") or user["id"]),
                ),
                str(actions[0]["value"]),
                str(given["response_url"]),
                str((given.get("message") or {}).get("text") or "Input request"),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise MalformedRequestError("This is no interaction of Slack.") from error


@router.post("/interactions")
async def receive_interaction(request: Request) -> Response:
    """Answer the request of a button as the user who has linked the account that clicked."""
    body = await read_small_body(request)
    _verify(request, body)
    click = Click.parse(body)
    if click is None:
        return Response()
    try:
        message = await _answer(request, click)
    except PerdureError as error:
        message = _make_ephemeral(error.detail)
    return Response(background=BackgroundTask(_show, request, click.response_url, message))


def _verify(request: Request, body: bytes) -> None:
    """Refuse a request that Slack has not signed, or has signed long ago.

    Raises:
        NotFoundError: the operator has set no signing secret.
        UnauthenticatedError: the signature is not valid.
    """
    gateway: Gateway = request.app.state.gateway
    secret = gateway.settings.slack_signing_secret
    if secret is None:
        raise NotFoundError(BUTTONS_ARE_OFF)
    sent_at = request.headers.get("x-slack-request-timestamp", "")
    delay = abs(time.time() - int(sent_at)) if _TIME.fullmatch(sent_at) else math.inf
    signed = b":".join((b"v0", sent_at.encode(), body))
    expected = hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
    given = request.headers.get("x-slack-signature", "")
    if not (
        hmac.compare_digest(given.encode(), f"v0={expected}".encode())
        and delay <= LONGEST_DELAY_SECONDS
    ):
        gateway.authenticator.count_refusal(address_of(request))
        raise UnauthenticatedError("The signature of Slack is not valid, or is too old.")


async def _answer(request: Request, click: Click) -> dict[str, Any]:
    """The message that shows what the click has done.

    Raises:
        PerdureError: it has done nothing.
    """
    gateway: Gateway = request.app.state.gateway
    async with gateway.database.reading() as session:
        user = await users.find_by_slack_user(session, click.account.key)
        if user is None or user.disabled_at is not None:
            return _make_ephemeral(_explain_linking(request, click))
        client = request.client
        actor = Actor(user.id, request.scope["request_id"], client.host if client else None)
        caller = await make_person(session, user, actor)
    principal = Principal(user.id, user.subject, is_admin=False, groups=caller.groups)
    call: Call = admit(request, gateway, principal)
    async with call.services.transaction(caller) as work:
        row = await answer_by_button(work, click.value)
    decision = (row.answer or {}).get("decision")
    done = "One approval is stored" if decision is None else f"Answered with {decision}"
    text = f"{click.title}\n{escape_slack(f'{done} by {caller.subject}.')}"
    # Until the last approval of several, the buttons stay.
    return {"replace_original": row.status != "open", "text": text}


def _explain_linking(request: Request, click: Click) -> str:
    code = click.account.make_code(request.app.state.gateway.services.links)
    url = f"{public_address(request)}{links.SLACK}?{urlencode({'code': code})}"
    return (
        f"Perdure does not know who you are. Open this within ten minutes, then click again: {url}"
    )


def _make_ephemeral(text: str) -> dict[str, Any]:
    """A message that only the person who has clicked sees."""
    return {"response_type": "ephemeral", "replace_original": False, "text": escape_slack(text)}


async def _show(request: Request, response_url: str, message: dict[str, Any]) -> None:
    """Send a message to where Slack wants it; without it, the next click explains the state."""
    gateway: Gateway = request.app.state.gateway
    send = partial(gateway.outbound.send, "POST", response_url)
    headers = {"content-type": "application/json"}
    try:
        await send(headers=headers, content=json.dumps(message).encode())
    except (PerdureError, OutboundError) as error:
        log.warning("slack.message_failed", error=type(error).__name__)
