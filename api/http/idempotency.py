"""`Idempotency-Key`: a repeated request returns the first response and changes nothing."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.errors import MalformedRequestError, status_of
from api.http.problems import of_error
from api.http.request_context import Call
from domain.errors import PerdureError, RateLimitedError
from persistence.db.idempotency import KeptResponse, Key, claim, keep

HEADER = "idempotency-key"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REPEATED_HEADERS = ("location", "etag", "retry-after")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The result of a request. `value` is None if the response is a stored one."""

    response: Response
    value: T | None


async def run_once(
    call: Call,
    operation: Callable[[AsyncSession], Awaitable[tuple[Response, T]]],
    *,
    dry_run: bool = False,
) -> Done[T]:
    """Run `operation` and store its response with the key, in one transaction.

    Client errors (4xx) are stored too, except 429. Server errors (5xx) are never stored. A dry run
    stores neither its response nor its key, so the key can be used for the real request.
    """
    if dry_run:
        return Done(await _rehearsed(call, operation), None)
    key = await _key(call)
    async with call.gateway.database.transaction() as session:
        if key is None:
            response, value = await operation(session)
            return Done(response, value)
        if kept := await claim(session, key):
            return Done(_replayed(kept), None)
        done = await _tried(call, session, operation)
        await keep(session, key, done.response.status_code, _stored(done.response))
        return done


async def _rehearsed(
    call: Call, operation: Callable[[AsyncSession], Awaitable[tuple[Response, T]]]
) -> Response:
    """The response of a dry run, without the `Location` of an object that is not stored."""
    async with call.gateway.database.transaction(keep=False) as session:
        response, _ = await operation(session)
    response.status_code = 200
    del response.headers["location"]
    return response


async def _tried(
    call: Call,
    session: AsyncSession,
    operation: Callable[[AsyncSession], Awaitable[tuple[Response, T]]],
) -> Done[T]:
    """The response of the operation, or its error after the changes are rolled back."""
    try:
        async with session.begin_nested():
            response, value = await operation(session)
    except PerdureError as error:
        # A quota error asks the client to retry, so it is not stored.
        if status_of(type(error)) >= 500 or isinstance(error, RateLimitedError):  # noqa: PLR2004 - server errors
            raise
        return Done(of_error(call.request.scope, error), None)
    return Done(response, value)


async def _key(call: Call) -> Key | None:
    text = call.request.headers.get(HEADER)
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise MalformedRequestError(
            "Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID."
        )
    return Key(
        user_id=call.principal.user_id,
        route=f"{call.request.method} {call.request.url.path}",
        key=text,
        request_sha256=hashlib.sha256(await call.body()).digest(),
    )


def _stored(response: Response) -> dict[str, object]:
    """The body as text, so that the repeated response is byte-identical."""
    headers = {h: response.headers[h] for h in _REPEATED_HEADERS if h in response.headers}
    return {
        "body": bytes(response.body).decode(),
        "media_type": response.headers.get("content-type"),
        "headers": headers,
    }


def _replayed(kept: KeptResponse) -> Response:
    headers = {**kept.response["headers"], "Idempotency-Replayed": "true"}
    return Response(
        kept.response["body"], kept.status, headers, media_type=kept.response["media_type"]
    )
