"""Routes of saved views of the inbox."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.request_context import Call, Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer, etag, to_json
from api.http.schemas import Read, from_row
from api.links import BASE
from persistence.tables.people import InboxViewRow
from services.executions.inbox_views import INBOX_VIEWS, InboxViewPut, ViewName, put_view


class InboxViewRead(Read):
    """Filters of the inbox under a name."""

    name: str
    filters: dict[str, Any]
    created_at: datetime
    updated_at: datetime


router = APIRouter(prefix=f"{BASE}/inbox-views", tags=["input requests"])


def _view(_: Call, row: InboxViewRow) -> InboxViewRead:
    self_link = f"{BASE}/inbox-views/{quote(row.name)}"
    return from_row(InboxViewRead, row, links={"self": self_link})


routes = ResourceRoutes(
    router, "inbox_view", InboxViewRead, _view, "/{name}", path_key("name", ViewName)
)
routes.add_list(INBOX_VIEWS.page, "List your saved views of the inbox, newest first.")
routes.add_get(INBOX_VIEWS.find, "Get a saved view of the inbox.")
routes.add_delete(INBOX_VIEWS.delete, "Delete a saved view of the inbox.")


async def _respond_stored(call: Call, _: AsyncSession, row: InboxViewRow) -> Response:
    read = _view(call, row)
    return answer(read, 201 if row.is_new else 200, {"ETag": etag(to_json(read))})


@router.put("/{name}", responses={200: {"model": InboxViewRead}, 201: {"model": InboxViewRead}})
async def put_inbox_view(
    call: Called, name: ViewName, body: Annotated[InboxViewPut, Depends(JsonBody(InboxViewPut))]
) -> Response:
    """Save filters of the inbox under a name, or replace those of this name."""
    return await run_service(call, partial(put_view, name=name, body=body), _respond_stored)
