"""Hooks, from rows to what clients read."""

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.hooks.schemas import HookAccepted, HookCreated, HookRead
from api.http.request_context import Call
from api.http.responses import answer
from api.http.schemas import from_row
from persistence.definitions.hooks import NewHook
from persistence.tables.executions import ExecutionRow


def render_new_hook(_: Call, hook: NewHook) -> HookRead:
    """Return a new hook without its secret."""
    return from_row(HookRead, hook.row)


def reveal_hook(call: Call, hook: NewHook, read: HookRead) -> HookCreated:
    """Add the token and the URL, with the address of the gateway as the operator or client has it.

    Only the response to the request that created the hook contains them.
    """
    base = (call.gateway.settings.public_url or str(call.request.base_url)).rstrip("/")
    url = f"{base}{links.BASE}/hooks/{hook.token}"
    return HookCreated(**dict(read), token=hook.token, url=url)


async def respond_accepted(_: Call, __: AsyncSession, row: ExecutionRow) -> Response:
    """Respond with the execution that a call started."""
    path = links.execution_path(row.id)
    read = HookAccepted(execution_id=row.id, status=row.status, links={"execution": path})
    return answer(read, 202, {"Location": path})
