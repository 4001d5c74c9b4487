"""The credentials with which Perdure gets access tokens for an MCP server."""

from dataclasses import dataclass
from typing import Literal

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
