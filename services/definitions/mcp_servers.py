"""MCP servers: registered by users, and named by tasks."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from domain.errors import (
    FieldProblem,
    InvalidInputError,
    PermissionDeniedError,
)
from persistence.definitions import dependents
from persistence.definitions.dependents import Dependent
from persistence.tables.definitions import McpServerRow
from services.definitions import mcp_rules, mcp_values
from services.definitions.inputs import McpServerCreate
from services.definitions.resources import NamedResource
from services.unit_of_work import UnitOfWork

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


def _problems(work: UnitOfWork, row: McpServerRow, body: McpServerCreate) -> Iterator[FieldProblem]:
    yield from mcp_values.mask_problems("headers", body.headers, row.headers or {})
    yield from mcp_values.mask_problems("env", body.env, row.env or {})
    check_url = work.services.settings.check_url
    yield from mcp_rules.connection_problems(body, ("body",), check_url)
