"""One authenticated request, as routes take it: `call: Called`."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from api.auth.authentication import Principal
from api.gateway import Gateway
from api.http.errors import PayloadTooLargeError
from domain.errors import PermissionDeniedError
from persistence.ledger.audit import Actor

DRAINED_TIMES = 10
"""An oversized body is read and dropped up to this many limits, so that a client that is still
sending gets the answer instead of a broken connection (chosen)."""


class Call:
    """Who asks, in which request, of which gateway."""

    def __init__(self, request: Request, gateway: Gateway, principal: Principal) -> None:
        """Made by `authenticated`."""
        self.request = request
        self.gateway = gateway
        self.principal = principal
        self._body: bytes | None = None

    @property
    def actor(self) -> Actor:
        """Who is to be named in the audit log."""
        client = self.request.client
        return Actor(
            self.principal.user_id,
            self.request.scope["request_id"],
            client.host if client else None,
        )

    def owns(self, owner_id: UUID) -> bool:
        """Whether what belongs to this user is the caller's; admins may see and do everything."""
        return owner_id == self.principal.user_id or self.principal.is_admin

    @property
    def sees_as(self) -> UUID | None:
        """Whose eyes the caller sees with; None for an admin, who sees everything."""
        return None if self.principal.is_admin else self.principal.user_id

    def require_own(self, owner_id: UUID, what: str) -> None:
        """Refuse what belongs to somebody else.

        Raises:
            PermissionDeniedError: the owner is another user.
        """
        if not self.owns(owner_id):
            raise PermissionDeniedError(f"This {what} is another user's.")

    def require_admin(self) -> None:
        """Refuse whoever is no admin.

        Raises:
            PermissionDeniedError: the caller is a user, or their key is one of a user.
        """
        if not self.principal.is_admin:
            raise PermissionDeniedError("Only admins may do this.")

    async def body(self) -> bytes:
        """The whole body; read once.

        Raises:
            PayloadTooLargeError: it is over the limit.
        """
        if self._body is None:
            self._body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        limit = self.gateway.settings.api_body_limit_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.request.stream():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            else:
                chunks.clear()
                if size > limit * DRAINED_TIMES:
                    break
        if size > limit:
            raise PayloadTooLargeError(f"The body is over the limit of {limit} bytes.")
        return b"".join(chunks)


async def authenticated(request: Request) -> Call:
    """The dependency every route but health and metrics has.

    Raises:
        UnauthenticatedError: no credentials, or credentials that don't hold.
        UserDisabledError: an admin has switched the user off.
        RateLimitedError: the user asks too often, or the address guesses.
    """
    gateway: Gateway = request.app.state.gateway
    header = request.headers.get("authorization")
    principal = await gateway.authenticator.authenticate(header, address_of(request))
    if gateway.rates is not None:
        # The edge puts them on whatever the answer is.
        request.scope["rate_limit"] = gateway.rates.count(str(principal.user_id)).headers
    return Call(request, gateway, principal)


def address_of(request: Request) -> str:
    """Where the request comes from; a proxy's own address unless it is trusted."""
    return request.client.host if request.client else "unknown"


Called = Annotated[Call, Depends(authenticated)]
