"""How a worker reaches the MCP servers of an execution, with the secrets of its user."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import httpx2

from domain.errors import McpServerError, SecretsNotConfiguredError, SecretUnusableError
from domain.mcp.auth import ClientCredentials
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import RemoteScope
from domain.secrets import name_in
from persistence.definitions import named_resources, secrets
from persistence.tables.definitions import McpServerRow
from services.caller import Caller
from services.definitions import mcp_values
from services.definitions.mcp_servers import CONNECTION_FIELDS
from services.definitions.secrets import open_secret
from services.unit_of_work import Services, UnitOfWork


async def resolve_server(
    services: Services, scope: RemoteScope, key: str, server_id: UUID | None
) -> ResolvedServer:
    """Return a server as it is now: an inline one, or a registered one that the user may use.

    `server_id` is that of the registered server whose tools were pinned.

    Raises:
        McpServerError: the server does not exist any more, or one of its secrets can't be used.
    """
    entry = scope.servers.get(key, {})
    try:
        async with services.transaction(Caller.engine()) as work:
            if "ref" in entry:
                return await _resolve_registered(work, scope, key, entry["ref"], server_id)
            decryptor = mcp_values.ValueDecryptor(work.session, services.secrets, scope.user_id)
            server = await _resolve(decryptor, key, entry, name=key)
            return await _with_credentials(work, scope.user_id, server, entry)
    except (SecretUnusableError, SecretsNotConfiguredError) as error:
        raise McpServerError(f"MCP server {key!r}: {error.detail}", is_final=True) from error


async def _resolve_registered(
    work: UnitOfWork, scope: RemoteScope, key: str, name: str, server_id: UUID | None
) -> ResolvedServer:
    row = await named_resources.find_usable_mcp_server(
        work.session, scope.user_id, scope.execution_id, name=name, server_id=server_id
    )
    if row is None:
        raise McpServerError(
            f"MCP server {key!r}: there is no registered server {name!r} that this execution may "
            "use. Look in the list of MCP servers.",
            is_final=True,
        )
    return await resolve_row(work, scope.user_id, key, row)


async def resolve_row(
    work: UnitOfWork, user_id: UUID, key: str, row: McpServerRow
) -> ResolvedServer:
    """Return a registered server with the secrets of a user.

    Raises:
        SecretUnusableError: a secret does not exist, or may not be sent to the server.
    """
    decryptor = mcp_values.ValueDecryptor(work.session, work.services.secrets, user_id, row.id)
    entry = {field: getattr(row, field) for field in CONNECTION_FIELDS}
    server = await _resolve(decryptor, key, entry, name=row.name, is_trusted=row.is_trusted)
    return await _with_credentials(work, user_id, server, entry)


async def _with_credentials(
    work: UnitOfWork, user_id: UUID, server: ResolvedServer, entry: Mapping[str, Any]
) -> ResolvedServer:
    """Add the credentials for access tokens, if the server has some.

    Their secret is decrypted when a token is requested, for the host of the token endpoint.
    """
    if not entry.get("auth"):
        return server
    credentials = ClientCredentials(**entry["auth"])
    name = name_in(credentials.secret) or ""
    row = await secrets.find(work.session, user_id, name)
    if row is None:
        raise SecretUnusableError(f"There is no secret {name!r}.")
    return replace(
        server,
        credentials=credentials,
        secret_version=row.updated_at.isoformat(),
        open_secret=partial(open_secret, work.services, user_id, credentials.secret),
    )


async def _resolve(
    decryptor: mcp_values.ValueDecryptor,
    key: str,
    entry: Mapping[str, Any],
    *,
    name: str,
    is_trusted: bool = False,
) -> ResolvedServer:
    url = entry.get("url")
    if url is not None:
        host = httpx2.URL(url).host
        headers = await decryptor.headers(entry.get("headers", {}), host=host)
        return ResolvedServer(
            key, url=url, headers=headers, server_id=decryptor.server_id, is_trusted=is_trusted
        )
    return ResolvedServer(
        key,
        command=entry["command"],
        args=entry.get("args", ()),
        environment=await decryptor.variables(entry.get("env", {}), server=name),
        server_id=decryptor.server_id,
        is_trusted=is_trusted,
    )
