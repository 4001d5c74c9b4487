"""Hooks, from rows to what clients read."""

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.hooks.schemas import HookAccepted
from api.http.request_context import Call
from api.http.responses import answer
from persistence.definitions.hooks import NewHook
from persistence.tables.executions import ExecutionRow


def reveal_hook(call: Call, hook: NewHook) -> dict[str, str]:
    """Return the token and the URL, with the address of the gateway as operator or client know it.

    Only the response to the request that created the hook contains them.
    """
    base = (call.gateway.settings.public_url or str(call.request.base_url)).rstrip("/")
    return {"token": hook.token, "url": f"{base}{links.BASE}/hooks/{hook.token}"}


async def respond_accepted(_: Call, __: AsyncSession, row: ExecutionRow) -> Response:
    """Respond with the execution that a call started."""
    path = links.execution_path(row.id)
    read = HookAccepted(execution_id=row.id, status=row.status, links={"execution": path})
    return answer(read, 202, {"Location": path})
