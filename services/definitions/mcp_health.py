"""Checks whether registered MCP servers answer, and stores the results."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.errors import ConflictError, SecretUnusableError
from domain.mcp.health import McpHealth
from persistence.tables.definitions import McpServerRow
from services.caller import Caller
from services.definitions.mcp_connections import resolve_row
from services.definitions.mcp_servers import MCP_SERVERS
from services.ports import CheckHealth
from services.unit_of_work import Services


async def check_mcp_server(
    services: Services, caller: Caller, check_health: CheckHealth, server_id: UUID
) -> Mapping[str, Any]:
    """Check whether a server of the caller answers, store the result, and return it as JSON.

    No transaction is open while the server is asked.

    Raises:
        ConflictError: it is a command, which only a worker can start.
    """
    async with services.database.reading() as session:
        row = await MCP_SERVERS.find(session, caller, server_id)
    caller.require_own(row.user_id, MCP_SERVERS.noun, server_id)
    if row.url is None:
        raise ConflictError(
            "This server is a command, which a worker starts for an execution. "
            "Only servers with a URL can be checked."
        )
    result = _health_json(await _check_health(services, caller, check_health, row))
    async with services.transaction(caller) as work:
        current = await MCP_SERVERS.find(work.session, caller, server_id, lock=True)
        if current.updated_at == row.updated_at:
            current.health = result
        entity, after = ("mcp_server", server_id), {"status": result["status"]}
        await work.record_audit("mcp_server.check", entity, after=after, owner_id=row.user_id)
    return result


async def _check_health(
    services: Services, caller: Caller, check_health: CheckHealth, row: McpServerRow
) -> McpHealth:
    """Ask the server, with the caller's own secrets."""
    try:
        async with services.transaction(caller) as work:
            server = await resolve_row(work, caller.user_id, row.name, row)
    except SecretUnusableError as error:
        return McpHealth(is_healthy=False, detail=error.detail)
    return await check_health(caller.user_id, server)


def _health_json(health: McpHealth) -> dict[str, Any]:
    fields = asdict(health)
    status = "healthy" if fields.pop("is_healthy") else "unhealthy"
    return {"status": status, "checked_at": datetime.now(UTC).isoformat(), **fields}
