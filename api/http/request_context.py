"""An authenticated request, as a dependency of routes: `call: Called`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import cached_property, partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from api.auth.principal import Principal
from api.gateway import Gateway
from api.http.errors import PayloadTooLargeError
from api.http.large_bodies import LARGE_BYTES, end_turn_after
from domain.errors import (
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
    UserDisabledError,
)
from persistence.ledger.audit import Actor
from services.caller import Caller
from services.unit_of_work import Services

LEAVE = "perdure.leave"
"""The scope holds a function under this name, which the middleware calls after the response."""

USER = "perdure.user"
"""The scope holds the id of the authenticated user under this name."""

CLIENT_HEADER = "perdure-client"
"""The command line sends `cli` in it, which is then the trigger type of what it starts."""

DRAINED_TIMES = 10
"""An oversized body is read and dropped up to this multiple of the limit. A client that is still
sending then receives the response instead of a connection error (chosen)."""

T = TypeVar("T")


class Call:
    """A request with its gateway and the authenticated user."""

    def __init__(
        self,
        request: Request,
        gateway: Gateway,
        principal: Principal,
        authenticate_again: Callable[[], Awaitable[Principal]] | None = None,
    ) -> None:
        """`authenticate_again` checks credentials that are not in the request's header."""
        self.request = request
        self.gateway = gateway
        self.principal = principal
        self._authenticate_again = authenticate_again or partial(_authenticate, request, gateway)
        self._body: bytes | None = None

    @property
    def actor(self) -> Actor:
        """The actor for the audit log."""
        client = self.request.client
        return Actor(
            None if self.principal.is_hook else self.principal.user_id,
            self.request.scope["request_id"],
            client.host if client else None,
        )

    @cached_property
    def caller(self) -> Caller:
        """The user on whose behalf services run."""
        is_cli = self.request.headers.get(CLIENT_HEADER) == "cli"
        return Caller(
            user_id=self.principal.user_id,
            subject=self.principal.subject,
            is_admin=self.principal.is_admin,
            api_key_id=self.principal.api_key_id,
            trigger_type="cli" if is_cli else self.principal.trigger_type,
            actor=self.actor,
            groups=self.principal.groups,
            scopes=self.principal.scopes,
        )

    async def require_current_credentials(self) -> None:
        """Check the credentials again, after the request has waited.

        Raises:
            UnauthenticatedError: the credentials are no longer valid.
            UserDisabledError: an admin has disabled the user.
            PermissionDeniedError: the user is no longer an admin.
        """
        if self.principal.is_hook:
            return
        principal = await self._authenticate_again()
        if self.principal.is_admin and not principal.is_admin:
            raise PermissionDeniedError("You are no longer an admin; ask an admin for access.")

    async def is_still_allowed(self) -> bool:
        """Whether the credentials are still valid, with the same rights."""
        try:
            await self.require_current_credentials()
        except (UnauthenticatedError, UserDisabledError, PermissionDeniedError, RateLimitedError):
            return False
        return True

    async def run_while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something whose result only the client needs. The body must have been read.

        Raises:
            ClientDisconnect: the client disconnected first; the work is cancelled.
        """
        working = asyncio.create_task(work)
        watching = asyncio.create_task(wait_for_disconnect(self.request.receive))
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientDisconnect
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    def become_stream(self) -> None:
        """Count this request as a stream from now on.

        Raises:
            RateLimitedError: the user has too many streams.
        """
        leave_request = self.request.scope[LEAVE]
        self.request.scope[LEAVE] = self.gateway.streams.enter(self.principal.user_id)
        leave_request()

    @property
    def services(self) -> Services:
        """The services of this gateway."""
        return self.gateway.services

    def _leave_with(self, leave: Callable[[], None]) -> None:
        """Call this function, too, after the response."""
        leave_request = self.request.scope[LEAVE]

        def leave_both() -> None:
            leave_request()
            leave()

        self.request.scope[LEAVE] = leave_both

    async def stream_body(self) -> AsyncIterator[bytes]:
        """The parts of a body of any size, instead of `body`; `identify_body` must follow."""
        async for part in self.request.stream():
            yield part

    def identify_body(self, identity: str) -> None:
        """Set what an idempotency key is bound to in place of a body that was streamed."""
        self._body = identity.encode()

    async def body(self) -> bytes:
        """The whole body, read once.

        Raises:
            PayloadTooLargeError: the body exceeds the limit.
        """
        if self._body is None:
            self._body = self.request.state.body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        limit = self.gateway.settings.api_body_limit_bytes
        chunks: list[bytes] = []
        size = 0
        turn = None
        try:
            async for chunk in self.request.stream():
                size += len(chunk)
                if size > LARGE_BYTES and turn is None:
                    turn = await self.gateway.large_bodies.wait(self.principal.user_id)
                if size <= limit:
                    chunks.append(chunk)
                else:
                    chunks.clear()
                    if size > limit * DRAINED_TIMES:
                        break
        finally:
            if turn is not None:
                self._leave_with(end_turn_after(turn, time.monotonic()))
        if size > limit:
            raise PayloadTooLargeError(
                f"The body exceeds the limit of {limit} bytes; send a smaller one."
            )
        return b"".join(chunks)


async def authenticate_request(request: Request) -> Call:
    """The dependency of every route except health and metrics.

    Raises:
        UnauthenticatedError: the credentials are missing or invalid.
        UserDisabledError: an admin has disabled the user.
        RateLimitedError: the user sent too many requests, or the address too many invalid ones.
    """
    gateway: Gateway = request.app.state.gateway
    return admit(request, gateway, await _authenticate(request, gateway))


async def _authenticate(request: Request, gateway: Gateway) -> Principal:
    header = request.headers.get("authorization")
    return await gateway.authenticator.authenticate(header, address_of(request))


def admit(
    request: Request,
    gateway: Gateway,
    principal: Principal,
    *,
    authenticate_again: Callable[[], Awaitable[Principal]] | None = None,
) -> Call:
    """Count the request against the limits of the user.

    Raises:
        RateLimitedError: the user sent too many requests, or has too many in progress.
    """
    request.scope[USER] = principal.user_id
    if gateway.rates is not None:
        # The middleware adds them to the response.
        request.scope["rate_limit"] = gateway.rates.count(str(principal.user_id)).headers
    request.scope[LEAVE] = gateway.requests.enter(principal.user_id)
    return Call(request, gateway, principal, authenticate_again)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


def address_of(request: Request) -> str:
    """The client's address; behind a proxy that is not trusted, the address of the proxy."""
    return request.client.host if request.client else "unknown"


Called = Annotated[Call, Depends(authenticate_request)]
