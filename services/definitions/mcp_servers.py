"""MCP servers: registered by users, named by tasks, and checked for an answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import httpx2

from domain.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    PermissionDeniedError,
    SecretUnusableError,
)
from domain.mcp_health import McpHealth
from persistence.definitions import dependents
from persistence.definitions.dependents import Dependent
from persistence.tables.definitions import McpServerRow
from services.caller import Caller
from services.definitions import mcp_rules, mcp_values
from services.definitions.inputs import McpServerCreate
from services.definitions.resources import NamedResource
from services.ports import CheckHealth
from services.unit_of_work import Services, UnitOfWork

CONNECTION_FIELDS = frozenset({"url", "command", "args", "headers", "env", "auth"})
"""If one of these changes, the result of the last health check is out of date."""


class McpServers(NamedResource[McpServerRow, McpServerCreate]):
    """The declaration of MCP servers."""

    entity, noun = "mcp_server", "MCP server"
    table, create_model = McpServerRow, McpServerCreate

    async def dependents(self, work: UnitOfWork, row: McpServerRow) -> Sequence[Dependent]:
        """Return the owner's tasks and templates that name the server."""
        return await dependents.find(work.session, row.user_id, self.entity, row.name)

    async def check(self, work: UnitOfWork, row: McpServerRow, body: McpServerCreate) -> None:
        """Check the fields against each other, and that commands and sharing are an admin's."""
        if problems := list(_problems(work, row, body)):
            raise InvalidInputError("The MCP server is invalid; see errors.", problems)
        if (body.command is not None or body.is_public) and not work.caller.is_admin:
            raise PermissionDeniedError(
                "Registering a command and sharing a server require the admin role."
            )
        if body.is_trusted and not work.caller.is_admin:
            raise PermissionDeniedError(
                "Trusting a server and changing a trusted one require the admin role. Send "
                "is_trusted: false to change it."
            )

    def columns(
        self, work: UnitOfWork, row: McpServerRow, body: McpServerCreate
    ) -> Mapping[str, Any]:
        """Return the columns; values that are no references are encrypted.

        Raises:
            SecretsNotConfiguredError: a value is to be encrypted, and there is no key.
        """
        seal = partial(mcp_values.seal_values, work.services.secrets, row.id)
        columns = body.model_dump(mode="json") | {
            "headers": seal("headers", body.headers, row.headers or {}),
            "env": seal("env", body.env, row.env or {}),
        }
        is_same = all(getattr(row, field) == columns[field] for field in CONNECTION_FIELDS)
        return {**columns, "health": row.health if is_same else None}

    def body_fields(self, row: McpServerRow) -> Mapping[str, Any]:
        """Return the row as the fields of a body, with encrypted values masked."""
        stored = self.create_model.model_fields.keys() - {"type"}
        masked = {
            "headers": mcp_values.mask_values(row.headers),
            "env": mcp_values.mask_values(row.env),
        }
        return {**{field: getattr(row, field) for field in stored}, **masked}

    def audited_fields(self, row: McpServerRow) -> Mapping[str, Any]:
        """Return how the server is reached, with the names of headers and variables only."""
        return {
            "name": row.name,
            "url": row.url,
            "command": row.command,
            "headers": sorted(row.headers),
            "env": sorted(row.env),
            "auth": row.auth and {name: row.auth[name] for name in ("type", "client_id")},
            "is_public": row.is_public,
            "is_trusted": row.is_trusted,
        }


MCP_SERVERS = McpServers()


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
    result = _health_json(await _check_health(services, caller, check_health, row, row.url))
    async with services.transaction(caller) as work:
        current = await MCP_SERVERS.find(work.session, caller, server_id, lock=True)
        if current.updated_at == row.updated_at:
            current.health = result
        entity, after = ("mcp_server", server_id), {"status": result["status"]}
        await work.record_audit("mcp_server.check", entity, after=after, owner_id=row.user_id)
    return result


async def _check_health(
    services: Services, caller: Caller, check_health: CheckHealth, row: McpServerRow, url: str
) -> McpHealth:
    """Ask the server, with the caller's own secrets."""
    try:
        async with services.transaction(caller) as work:
            opener = mcp_values.Opener(work.session, services.secrets, caller.user_id, row.id)
            headers = await opener.headers(row.headers, host=httpx2.URL(url).host)
    except SecretUnusableError as error:
        return McpHealth(is_healthy=False, detail=error.detail)
    return await check_health(url, headers)


def _health_json(health: McpHealth) -> dict[str, Any]:
    fields = asdict(health)
    status = "healthy" if fields.pop("is_healthy") else "unhealthy"
    return {"status": status, "checked_at": datetime.now(UTC).isoformat(), **fields}


def _problems(work: UnitOfWork, row: McpServerRow, body: McpServerCreate) -> Iterator[FieldProblem]:
    yield from mcp_values.mask_problems("headers", body.headers, row.headers or {})
    yield from mcp_values.mask_problems("env", body.env, row.env or {})
    check_url = work.services.settings.check_url
    yield from mcp_rules.connection_problems(body, ("body",), check_url)
