"""The credentials with which Perdure gets access tokens for an MCP server."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Of signatures; RFC 7518, section 3.1, and RFC 8037, without symmetric keys."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A client of an authorization server. `secret` is the reference to its secret or its key."""

    type: Literal["client_credentials", "private_key_jwt"]
    client_id: str
    secret: str
    issuer: str | None = None
    scope: str | None = None
    algorithm: Algorithm = "RS256"


class HttpAnswer(Protocol):
    """A response."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def body(self) -> bytes:
        """The body, up to a limit."""


class Send(Protocol):
    """Sends a request to a checked address (`runtime.outbound.Outbound.send`)."""

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> HttpAnswer:
        """Return the response; an error status is one, too."""
        ...


OpenSecret = Callable[[str], Awaitable[str]]
"""Returns the secret, or the private key, for a host; raises SecretUnusableError if the host may
not receive it."""
