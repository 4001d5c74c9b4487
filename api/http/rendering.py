"""Responses to what services return: created, changed and deleted resources."""

from collections.abc import Callable
from typing import TypeVar

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.idempotency import Render
from api.http.request_context import Call
from api.http.responses import answer, etag, require_match, to_json
from services.field_types import Read

T = TypeVar("T")

View = Callable[[Call, T], Read]
"""Makes the resource that this caller reads from a row."""


def created(view: View[T], status: int = 201) -> Render[T]:
    """Respond with the new resource, its `Location` and its `ETag`."""

    async def render(call: Call, _: AsyncSession, value: T) -> Response:
        read = view(call, value)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, status, headers)

    return render


def changed(view: View[T]) -> Render[T]:
    """Respond with the changed resource and its `ETag`."""

    async def render(_call: Call, _: AsyncSession, value: T) -> Response:
        read = view(_call, value)
        return answer(read, headers={"ETag": etag(to_json(read))})

    return render


async def no_content(_call: Call, _session: AsyncSession, _value: object) -> Response:
    """Respond with 204."""
    return Response(status_code=204)


def if_match(call: Call, view: View[T]) -> Callable[[T], None]:
    """Return a check that refuses a change of a resource that is not the one the client read."""

    def check(value: T) -> None:
        require_match(call.request, view(call, value))

    return check
