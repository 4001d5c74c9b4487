"""MCP servers: registration and health checks."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import httpx2
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.mcp_servers.schemas import HealthRead, McpServerCreate, McpServerRead, McpServerUpdate
from domain.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    SecretUnusableError,
)
from domain.ids import new_id
from persistence.definitions import named_resources
from persistence.ledger import audit
from persistence.tables.mcp_servers import McpServerRow
from services.definitions import mcp_rules, mcp_values
from services.definitions.mcp_health import Health, handshake
from services.definitions.merging import merged

router = APIRouter(prefix="/mcp-servers", tags=["MCP servers"])

OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept"}
)
"""Headers that our HTTP client sets itself."""

REACHED_BY = frozenset({"url", "command", "args", "headers", "env"})
"""A change of these fields invalidates the last health check."""


@router.post("", status_code=201, responses=created(McpServerRead))
async def create_mcp_server(
    call: Called,
    body: Annotated[McpServerCreate, Depends(JsonBody(McpServerCreate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Register a server. Tasks refer to it in `sdk_options.mcp_servers` as `{"ref": NAME}`."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        row = McpServerRow(
            id=new_id(), user_id=call.principal.user_id, headers={}, env={}, health=None
        )
        _write(call, row, body)
        await named_resources.save(session, row)
        entity = ("mcp_server", row.id)
        await audit.record(session, call.actor, "mcp_server.create", entity, after=_told(row))
        read = views.mcp_server(row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await run_once(call, create, dry_run=dry_run)).response


@router.get("", responses={200: {"model": Listing[McpServerRead]}})
async def list_mcp_servers(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """List your servers and the public ones, newest first."""
    async with call.gateway.database.reading() as session:
        page = await named_resources.page(
            session, McpServerRow, call.principal.user_id, query.window()
        )
    return answer(listing(call.request, query, page, [views.mcp_server(row) for row in page.rows]))


@router.get("/{server_id}", responses={200: {"model": McpServerRead}})
async def get_mcp_server(call: Called, server_id: UUID) -> Response:
    """Get a server, with secrets masked."""
    async with call.gateway.database.reading() as session:
        row = await named_resources.find(session, McpServerRow, server_id)
    if row is None:
        raise _none(server_id)
    if not row.is_public:
        call.require_own(row.user_id, "MCP server")
    return single(call.request, views.mcp_server(row))


@router.patch("/{server_id}", responses={200: {"model": McpServerRead}})
async def update_mcp_server(
    call: Called,
    server_id: UUID,
    update: Annotated[McpServerUpdate, Depends(JsonBody(McpServerUpdate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Change a server. A masked header or variable that you send back does not change."""
    async with call.gateway.database.transaction(keep=not dry_run) as session:
        row = await _own(session, call, server_id, lock=True)
        read = views.mcp_server(row)
        require_match(call.request, read)
        current = {field: getattr(read, field) for field in McpServerCreate.model_fields}
        before = _told(row)
        _write(call, row, merged(McpServerCreate, current, update, what="MCP server"))
        if update.model_fields_set & REACHED_BY:
            row.health = None
        row.updated_at = datetime.now(UTC)
        await named_resources.save(session, row)
        await audit.record(
            session,
            call.actor,
            "mcp_server.update",
            ("mcp_server", server_id),
            before=before,
            after=_told(row),
            owner_id=row.user_id,
        )
        read = views.mcp_server(row)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{server_id}", status_code=204)
async def delete_mcp_server(call: Called, server_id: UUID) -> Response:
    """Delete a server. Tasks that refer to it cannot be changed until they use another one."""
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, server_id, lock=True)
        require_match(call.request, views.mcp_server(row))
        await named_resources.delete(session, row)
        entity, owner, before = ("mcp_server", server_id), row.user_id, _told(row)
        action = "mcp_server.delete"
        await audit.record(session, call.actor, action, entity, before=before, owner_id=owner)
    return Response(status_code=204)


@router.post("/{server_id}/health-check", responses={200: {"model": HealthRead}})
async def check_mcp_server(call: Called, server_id: UUID) -> Response:
    """Connect to one of your servers and return the result.

    If the connection fails, the response is 200 with `status: unhealthy`.
    """
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, server_id)
    if row.url is None:
        raise ConflictError(
            "This server is a command that a worker starts for an execution; health checks "
            "need a server with a url."
        )
    health = await _checked(call, row, row.url)
    read = HealthRead(
        status="healthy" if health.is_healthy else "unhealthy",
        latency_ms=health.latency_ms,
        server_info=None if health.server_info is None else dict(health.server_info),
        protocol_version=health.protocol_version,
        checked_at=datetime.now(UTC),
        detail=health.detail,
    )
    async with call.gateway.database.transaction() as session:
        current = await _own(session, call, server_id, lock=True)
        if current.updated_at == row.updated_at:
            current.health = read.model_dump(mode="json")
        entity, after = ("mcp_server", server_id), {"status": read.status}
        action, owner = "mcp_server.check", row.user_id
        await audit.record(session, call.actor, action, entity, after=after, owner_id=owner)
    return answer(read)


async def _checked(call: Call, row: McpServerRow, url: str) -> Health:
    """Connect with the caller's secrets, without an open transaction."""
    try:
        async with call.gateway.database.transaction() as session:
            headers = await mcp_values.opened(
                session,
                call.gateway.sealer,
                call.principal.user_id,
                row.id,
                row.headers,
                host=httpx2.URL(url).host,
            )
    except SecretUnusableError as error:
        return Health(is_healthy=False, detail=error.detail)
    return await handshake(call.gateway.outbound, url, headers)


def _write(call: Call, row: McpServerRow, body: McpServerCreate) -> None:
    """Apply the body to the row.

    Raises:
        InvalidInputError: the definition is invalid.
        PermissionDeniedError: the change requires the admin role.
        SecretsNotConfiguredError: there is no key to encrypt a secret value.
    """
    _check(call, row, body)
    for field in ("name", "description", "url", "command", "is_public"):
        setattr(row, field, getattr(body, field))
    row.args = list(body.args)
    sealer = call.gateway.sealer
    row.headers = mcp_values.kept(sealer, row.id, "headers", body.headers, row.headers)
    row.env = mcp_values.kept(sealer, row.id, "env", body.env, row.env)


def _check(call: Call, row: McpServerRow, body: McpServerCreate) -> None:
    problems = [
        *mcp_values.mask_problems("headers", body.headers, row.headers),
        *mcp_values.mask_problems("env", body.env, row.env),
    ]
    if (body.url is None) == (body.command is None):
        problems.append(FieldProblem(("body", "url"), "Specify either a url or a command."))
    if body.url is not None:
        problems += mcp_rules.address_problems(
            body.url, ("body", "url"), call.services.settings.check_url
        )
    problems += [
        FieldProblem(("body", "headers", name), "Perdure sets this header; remove it.")
        for name in body.headers
        if name.lower() in OURS
    ]
    lost = [f for f in (("args", "env") if body.command is None else ("headers",)) if _has(body, f)]
    problems += [
        FieldProblem(("body", f), "This kind of server does not support this field; remove it.")
        for f in lost
    ]
    if problems:
        raise InvalidInputError("The MCP server is invalid; see errors.", problems)
    if (body.command is not None or body.is_public) and not call.principal.is_admin:
        raise PermissionDeniedError(
            "Registering a command and sharing a server require the admin role."
        )


def _has(body: McpServerCreate, field: str) -> bool:
    return bool(getattr(body, field))


async def _own(
    session: AsyncSession, call: Call, server_id: UUID, *, lock: bool = False
) -> McpServerRow:
    row = await named_resources.find(session, McpServerRow, server_id, lock=lock)
    if row is None:
        raise _none(server_id)
    call.require_own(row.user_id, "MCP server")
    return row


def _none(server_id: UUID) -> NotFoundError:
    return NotFoundError(f"MCP server {server_id} does not exist.")


def _told(row: McpServerRow) -> dict[str, Any]:
    """Fields for the audit log: names of headers and variables, never values."""
    return {
        "name": row.name,
        "url": row.url,
        "command": row.command,
        "headers": sorted(row.headers),
        "env": sorted(row.env),
        "is_public": row.is_public,
    }
