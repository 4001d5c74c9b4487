"""What the handler of a tool gets: the caller, the database, progress, idempotency."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, ClientCapabilities, ContentBlock
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.gateway import Gateway
from api.http.paging import public_address
from api.http.request_context import Call
from persistence.db.idempotency import Key, claim, store
from services.caller import Caller
from services.unit_of_work import UnitOfWork

CALL = "perdure.call"
"""The scope of an HTTP request holds its `Call` under this name, once it is authenticated."""

TRIGGER_TYPE = "mcp"
"""Of executions that tools start."""


@dataclass(frozen=True)
class ToolContext:
    """One call of a tool."""

    call: Call
    """The HTTP request with its authenticated user."""
    request: ServerRequestContext[Any, Any]
    """The MCP request: revision, client, channel for progress."""
    tool_name: str
    extra_content: list[ContentBlock] = field(default_factory=list)
    """Pictures and links beside the structured result; models see no other blocks beside it."""

    @property
    def gateway(self) -> Gateway:
        """The components of this process."""
        return self.call.gateway

    @cached_property
    def caller(self) -> Caller:
        """The user on whose behalf services run; another user's object does not exist for it."""
        return caller_of(self.call)

    @property
    def client_capabilities(self) -> ClientCapabilities | None:
        """What the client declared in this request, or when it connected."""
        return self.request.session.client_capabilities

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session for reads."""
        return self.gateway.database.reading()

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Open one transaction, whose effects run after the commit."""
        return self.call.services.transaction(self.caller)

    async def start_once(
        self,
        key: str | None,
        arguments: Mapping[str, Any],
        start: Callable[[UnitOfWork], Awaitable[UUID]],
    ) -> UUID:
        """Start an execution in one transaction and return its id; once for each idempotency key.

        Raises:
            IdempotencyKeyReusedError: the key came before with other arguments.
            IdempotencyInProgressError: the first call is still handled.
        """
        async with self.transaction() as work:
            if key is None:
                return await start(work)
            claimed = self._key(key, arguments)
            if kept := await claim(work.session, claimed):
                return UUID(kept.response["execution_id"])
            execution_id = await start(work)
            response = {"execution_id": str(execution_id)}
            await store(work.session, claimed, 202, response)
            return execution_id

    async def report_progress(self, progress: float, message: str) -> None:
        """Send a progress notification, if the client asked for them; `progress` must grow."""
        await self.request.session.report_progress(progress, message=message)

    @property
    def wants_progress(self) -> bool:
        """Whether the client asked for progress notifications."""
        return bool(self.request.meta) and "progress_token" in (self.request.meta or {})

    def _key(self, key: str, arguments: Mapping[str, Any]) -> Key:
        content = json.dumps(arguments, sort_keys=True, separators=(",", ":")).encode("ascii")
        return Key(
            user_id=self.call.principal.user_id,
            route=f"MCP {self.tool_name}",
            key=key,
            request_sha256=hashlib.sha256(content).digest(),
        )

    def web_address(self, path: str) -> str:
        """The URL of a path of this gateway, for a person."""
        return f"{public_address(self.call.request)}{path}"

    def request_page(self, request_id: UUID) -> str:
        """The URL of the page on which a person answers an input request."""
        return request_page(self.call, request_id)


def is_modern(request: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client speaks a revision without a handshake."""
    return request.protocol_version in MODERN_PROTOCOL_VERSIONS


def caller_of(call: Call) -> Caller:
    """The user on whose behalf services run; another user's object does not exist for it."""
    return replace(call.caller, trigger_type=TRIGGER_TYPE, is_agent=True)


def request_page(call: Call, request_id: UUID) -> str:
    """The URL of the page on which a person answers an input request."""
    return f"{public_address(call.request)}{links.request_page(request_id)}"


def call_of(ctx: ServerRequestContext[Any, Any]) -> Call:
    """The authenticated HTTP request in which an MCP request came.

    Raises:
        MCPError: it is not authenticated, as a `server/discover` may be.
    """
    call = ctx.request.scope.get(CALL) if ctx.request is not None else None
    if not isinstance(call, Call):
        raise MCPError(INVALID_PARAMS, "This request needs credentials.")
    return call
