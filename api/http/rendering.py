"""Responses to what services return: created, changed, listed and deleted resources."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.idempotency import Render, ResponseWithSecret
from api.http.paging import ListQuery, listing
from api.http.request_context import Call
from api.http.responses import JSON, answer, etag, require_match, to_json
from api.http.schemas import Read, from_row
from persistence.db.paging import Page
from persistence.definitions.dependents import Dependent
from persistence.sessions.timeline import TimelinePage

T = TypeVar("T")

View = Callable[[Call, T], Read]
"""Makes the resource that this caller reads from a row."""


def render_created(view: View[T]) -> Render[T]:
    """Respond with the new resource, its `Location` and its `ETag`."""

    async def render(call: Call, _: AsyncSession, value: T) -> Response:
        read = view(call, value)
        return answer(read, 201, _headers_of(read))

    return render


def render_created_with_secret(
    read_model: type[Read],
    created_model: type[Read],
    reveal: Callable[[Call, Any], dict[str, str]],
    view: View[Any] | None = None,
) -> Render[Any]:
    """Respond with the new resource and its secret, which no later response contains.

    `reveal` returns the fields that `created_model` has in addition. They are null in the response
    to a repeated request, which is stored in the database. `view` makes the resource from the row,
    where its columns are not enough.
    """

    async def render(call: Call, _: AsyncSession, value: Any) -> Response:
        read = view(call, value.row) if view else from_row(read_model, value.row)
        secrets = reveal(call, value)
        headers = _headers_of(read)
        shown = to_json(created_model(**dict(read), **secrets))
        response = ResponseWithSecret(shown, 201, headers, JSON)
        hidden = created_model(**dict(read), **dict.fromkeys(secrets))
        response.kept = answer(hidden, 201, headers)
        return response

    return render


def render_changed(view: View[T]) -> Render[T]:
    """Respond with the changed resource and its `ETag`."""

    async def render(call: Call, _: AsyncSession, value: T) -> Response:
        read = view(call, value)
        return answer(read, headers={"ETag": etag(to_json(read))})

    return render


class DependentRead(BaseModel):
    """A task, a task template or an MCP server that names something."""

    model_config = ConfigDict(frozen=True)

    kind: str
    id: UUID
    name: str


class DeletedRead(BaseModel):
    """What still names something that was deleted; change it, or it does not work any more."""

    model_config = ConfigDict(frozen=True)

    named_by: list[DependentRead]


async def render_deleted(
    _call: Call, _session: AsyncSession, dependents: Sequence[Dependent] | None
) -> Response:
    """Respond with 204, or with what still names it."""
    if not dependents:
        return Response(status_code=204)
    named_by = [DependentRead(**asdict(dependent)) for dependent in dependents]
    return answer(DeletedRead(named_by=named_by))


def render_page(
    call: Call, query: ListQuery, page: Page[Any] | TimelinePage[Any], view: View[Any]
) -> Response:
    """Respond with a page of resources."""
    return render_items(call, query, page, [view(call, row) for row in page.rows])


def render_items(
    call: Call,
    query: ListQuery,
    page: Page[Any] | TimelinePage[Any],
    items: Sequence[BaseModel | dict[str, Any]],
) -> Response:
    """Respond with a page whose rows are already resources."""
    return answer(listing(call.request, query, page, items))


def if_match(call: Call, view: View[T]) -> Callable[[T], None]:
    """Return a check that refuses a change of a resource that is not the one the client read."""

    def check(value: T) -> None:
        require_match(call.request, view(call, value))

    return check


def _headers_of(read: Read) -> dict[str, str]:
    return {"Location": read.links["self"], "ETag": etag(to_json(read))}


DryRun = Annotated[
    bool,
    Query(
        description="Validate the request without storing anything. Returns 200 with the object "
        "that would be stored (its id is not used), or the error."
    ),
]


deleted_responses: dict[int | str, dict[str, Any]] = {
    200: {"model": DeletedRead, "description": "Deleted, and something still names it."}
}


def created_responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that creates an object, with and without `dry_run`."""
    return {
        200: {"model": model, "description": "Dry run: the object that would be stored."},
        201: {"model": model},
    }
