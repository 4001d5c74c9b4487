"""A real authorization server for programs, and a resource that takes its tokens."""

import base64
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

CLIENT, SECRET = "perdure:1", "s3cret/+ü"


@dataclass
class AuthorizationServer:
    """Issues tokens at `/tokens`, and serves `/mcp` to those who send one. `url` is its address."""

    url: str = ""
    resource: str = ""
    """The MCP server; by default the one at `/mcp`."""
    seconds: int = 3600
    scope: str | None = None
    """What `/mcp` requires in addition to any token."""
    methods: tuple[str, ...] = ("client_secret_basic",)
    requests: list[dict[str, str]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    tokens: dict[str, tuple[float, str]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.app = FastAPI()
        well_known = "/.well-known/"
        self.app.get(f"{well_known}oauth-protected-resource/mcp")(self._resource)
        self.app.get(f"{well_known}oauth-authorization-server/issuer")(self._server)
        self.app.post("/tokens")(self._token)
        self.app.post("/mcp")(self._mcp)
        self.refused: list[str] = []
        """Tokens that `guard` refused."""

    @property
    def private_key(self) -> str:
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.key.private_bytes(*form).decode()

    async def _resource(self) -> dict[str, Any]:
        return {
            "resource": self.resource or f"{self.url}/mcp",
            "authorization_servers": [f"{self.url}/issuer"],
            "scopes_supported": ["tools"],
        }

    async def _server(self) -> dict[str, Any]:
        # Without an authorization endpoint: there is no grant here that needs one.
        return {
            "issuer": f"{self.url}/issuer",
            "token_endpoint": f"{self.url}/tokens",
            "token_endpoint_auth_methods_supported": self.methods,
            **self.metadata,
        }

    async def _token(self, request: Request) -> Response:
        fields = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        self.requests.append(fields)
        if not self._is_client(fields, request.headers.get("authorization", "")):
            error = {"error": "invalid_client", "error_description": "no such client"}
            return JSONResponse(error, status_code=401)
        assert fields["grant_type"] == "client_credentials"
        assert fields["resource"] == (self.resource or f"{self.url}/mcp")
        token = f"token-{len(self.requests)}"
        self.tokens[token] = (time.monotonic() + self.seconds, fields.get("scope", ""))
        return JSONResponse(
            {"access_token": token, "token_type": "bearer", "expires_in": self.seconds}
        )

    def _is_client(self, fields: dict[str, str], header: str) -> bool:
        if "client_assertion" in fields:
            claims = jwt.decode(
                fields["client_assertion"],
                self.key.public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/issuer",
                issuer=CLIENT,
            )
            return bool(claims["sub"] == CLIENT)
        if header.startswith("Basic "):
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            return (unquote(name), unquote(secret)) == (CLIENT, SECRET)
        return (fields.get("client_id"), fields.get("client_secret")) == (CLIENT, SECRET)

    def guard(self, app: Any) -> Any:
        """Wrap another MCP server, which is then the resource: it takes issued tokens only."""

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            headers = dict(scope.get("headers", ()))
            token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
            if scope["type"] != "http" or token in self.tokens:
                await app(scope, receive, send)
                return
            self.refused.append(token)
            place = f"{self.url}/.well-known/oauth-protected-resource/mcp"
            challenge = {"WWW-Authenticate": f'Bearer resource_metadata="{place}"'}
            await Response(status_code=401, headers=challenge)(scope, receive, send)

        return guarded

    async def _mcp(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        expires_at, scope = self.tokens.get(token, (0.0, ""))
        if token in self.revoked or time.monotonic() > expires_at:
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        if self.scope and self.scope not in scope.split():
            challenge = f'Bearer error="insufficient_scope", scope="{self.scope}"'
            return Response(status_code=403, headers={"WWW-Authenticate": challenge})
        return Response(await request.body())
