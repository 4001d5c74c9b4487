"""Runs services for requests: one transaction, one response, kept under an `Idempotency-Key`.

A repeated request with the same key gets the first response and does nothing again. For a call of a
hook, the id of the delivery that the sender gives is such a key.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.errors import MalformedRequestError, status_of
from api.http.problems import render_error
from api.http.request_context import Call
from domain.errors import PerdureError, RateLimitedError
from persistence.db.idempotency import Key, StoredResponse, claim, find_response, store
from services.unit_of_work import Effect, UnitOfWork, run_effects

HEADER = "idempotency-key"

DELIVERY_HEADERS = ("webhook-id", "svix-id", "x-github-delivery")
"""Headers that identify a delivery of a webhook: Standard Webhooks, Svix and GitHub."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REPEATED_HEADERS = ("location", "etag", "retry-after")

NOTHING_DONE = 204
"""A POST that found nothing to do: the same request may find something later."""

T = TypeVar("T")

Service = Callable[[UnitOfWork], Awaitable[T]]
"""A service with all arguments but the unit of work, such as `partial(pause, execution_id=id)`."""

Render = Callable[[Call, AsyncSession, T], Awaitable[Response]]
"""Makes the response to what a service returned, in the same transaction."""


class ResponseWithSecret(Response):
    """A response with a secret, which must not be stored: `kept` is stored in its place."""

    kept: Response


Prepare = Callable[[], Awaitable[None]]
"""What a service needs that takes long, such as a stored file; a repeat is harmless."""


async def run_service(
    call: Call,
    service: Service[T],
    render: Render[T],
    *,
    dry_run: bool = False,
    prepare: Prepare | None = None,
) -> Response:
    """Run a service in one transaction with its idempotency key, and render its result.

    `prepare` runs before the transaction, unless the key has a response: a connection to the
    database is not kept while the request waits for something else.

    A refusal (4xx) is kept under the key too; a server error (5xx) and a reached limit (429) are
    not. A dry run stores nothing, not even the key: the key stays free for the real request.
    """
    if dry_run:
        return await _run_dry(call, service, render)
    key = await _key(call) if call.request.method == "POST" else None
    if prepare is not None and not (key and await _has_response(call, key)):
        await prepare()
    if key is None:
        async with call.services.transaction(call.caller, is_one_service=True) as work:
            return await render(call, work.session, await service(work))
    effects: list[Effect] = []
    async with call.services.transaction(call.caller, effects=effects) as work:
        if kept := await claim(work.session, key):
            return _replay(kept)
        if key.identifies_delivery:  # a sender repeats what was refused, and may succeed then
            response = await render(call, work.session, await service(work))
        else:
            response = await _run_or_refuse(call, work, service, render)
        if response.status_code != NOTHING_DONE:
            await store(work.session, key, response.status_code, _encode_body(response))
    try:
        await run_effects(effects)
    except PerdureError as error:  # this is the response, not the one that was just stored
        response = render_error(call.request.scope, error)
        async with call.services.database.transaction() as session:
            await store(session, key, response.status_code, _encode_body(response))
    return response


async def _has_response(call: Call, key: Key) -> bool:
    async with call.gateway.database.reading() as session:
        return await find_response(session, key) is not None


async def _run_dry(call: Call, service: Service[T], render: Render[T]) -> Response:
    """Return the response with status 200, without the location of what was not created."""
    async with call.services.transaction(call.caller, dry_run=True) as work:
        response = await render(call, work.session, await service(work))
    response.status_code = 200
    if "location" in response.headers:
        del response.headers["location"]
    return response


async def _run_or_refuse(
    call: Call, work: UnitOfWork, service: Service[T], render: Render[T]
) -> Response:
    """Return the response, or the refusal with nothing else written."""
    try:
        async with work.session.begin_nested():
            return await render(call, work.session, await service(work))
    except PerdureError as error:
        # A 429 asks the client to try again, so it must not be kept.
        if status_of(type(error)) >= 500 or isinstance(error, RateLimitedError):  # noqa: PLR2004 - the class of server errors
            raise
        work.effects.clear()
        return render_error(call.request.scope, error)


async def _key(call: Call) -> Key | None:
    names = (HEADER, *DELIVERY_HEADERS) if call.principal.is_hook else (HEADER,)
    name = next((name for name in names if name in call.request.headers), None)
    if name is None:
        return None
    text = call.request.headers[name]
    if not _KEY.fullmatch(text):
        raise MalformedRequestError(
            f"{name.title()} must be 1 to 255 visible ASCII characters, such as a UUID."
        )
    identifies_delivery = name != HEADER
    content = b"" if identifies_delivery else await call.body()
    return Key(
        user_id=call.principal.user_id,
        route=f"{call.request.method} {call.request.url.path}",
        key=text,
        request_sha256=hashlib.sha256(content).digest(),
        identifies_delivery=identifies_delivery,
    )


def _encode_body(response: Response) -> dict[str, object]:
    """The body as text, so that the repeated response is byte-identical."""
    if isinstance(response, ResponseWithSecret):
        response = response.kept
    headers = {h: response.headers[h] for h in _REPEATED_HEADERS if h in response.headers}
    return {
        "body": bytes(response.body).decode(),
        "media_type": response.headers.get("content-type"),
        "headers": headers,
    }


def _replay(kept: StoredResponse) -> Response:
    headers = {**kept.response["headers"], "Idempotency-Replayed": "true"}
    return Response(
        kept.response["body"], kept.status, headers, media_type=kept.response["media_type"]
    )
