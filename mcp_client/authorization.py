"""Access tokens for MCP servers, which a program gets with credentials of its own.

The grant is client credentials (RFC 6749, section 4.4): the client proves itself with a secret, or
with an assertion that its private key signs (RFC 7523, section 2.2). The authorization server is
found as RFC 9728 and RFC 8414 describe. Every request to it goes through the caller's `Send`, which
checks addresses. Tokens stay in memory and are never logged.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import httpx2
import jwt
from mcp.client.auth.extensions.client_credentials import SignedJWTParameters
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    extract_field_from_www_auth,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    issuers_match,
    union_scopes,
)
from mcp.shared.auth import OAuthToken, ProtectedResourceMetadata
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import BaseModel, Field, ValidationError

from domain.errors import McpServerError
from domain.mcp.auth import ClientCredentials, HttpAnswer, OpenSecret, Send
from domain.text import clean, harmless

RENEW_BEFORE_SECONDS = 30.0
"""A token that expires earlier is not used: a request may take that long to arrive (chosen)."""

VALID_SECONDS = 3600.0
"""Of a token that does not say how long it is valid; a server that refuses it ends it (chosen)."""

MAX_ERROR_CHARACTERS = 300
"""Of a text in which an authorization server describes an error (chosen)."""

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_OK, _UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 200, 401, 403, 500


class AuthorizationServer(BaseModel):
    """What is needed of an authorization server's metadata (RFC 8414, section 2)."""

    issuer: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = Field(
        default=("client_secret_basic", "client_secret_post")
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """Where tokens come from, for which resource, and the scopes that the resource names."""

    server: AuthorizationServer
    resource: str
    scope: str | None


class AccessTokens:
    """The token of one user for one server, shared by all connections to it."""

    def __init__(
        self, url: str, credentials: ClientCredentials, *, send: Send, open_secret: OpenSecret
    ) -> None:
        """`url` is the MCP server's address."""
        self._url = url
        self._credentials = credentials
        self._send = send
        self._open_secret = open_secret
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._expires_at = 0.0
        self._scope = credentials.scope

    @property
    def current(self) -> str | None:
        """The token, if it is valid for long enough."""
        is_valid = time.monotonic() < self._expires_at - RENEW_BEFORE_SECONDS
        return self._token if is_valid else None

    def discard(self, refused: str | None) -> None:
        """Forget this token, so that no request sends it again."""
        if self._token == refused:
            self._token = None

    async def renew(self, refused: str | None, response: httpx2.Response) -> str:
        """Get a token after a response that refuses one; at most one request at a time.

        Raises:
            McpServerError: there is none, with the reason.
            SecretUnusableError: the secret may not be sent to the authorization server.
            OutboundError, AddressRefusedError: the authorization server can't be reached.
        """
        async with self._lock:
            self.discard(refused)
            if self.current is not None:
                return self.current
            target = await self._discover(response)
            challenged = extract_scope_from_www_auth(response)
            self._scope = union_scopes(self._scope, challenged) or target.scope
            answer = await self._request_token(target)
            self._token = answer.access_token
            valid = VALID_SECONDS if answer.expires_in is None else float(answer.expires_in)
            # A token that is valid for a shorter time is still used, for this request.
            self._expires_at = time.monotonic() + valid
            return answer.access_token

    # --- discovery ----------------------------------------------------------------------------

    async def _discover(self, response: httpx2.Response) -> _Target:
        resource = resource_url_from_server_url(self._url)
        found = await self._resource_metadata(extract_resource_metadata_from_www_auth(response))
        issuer, scope = self._credentials.issuer, None
        if found is not None:
            named = str(found.resource)
            if not check_resource_allowed(requested_resource=resource, configured_resource=named):
                raise _failure(f"The server's metadata is for another resource ({named}).")
            resource = named
            scope = " ".join(found.scopes_supported) if found.scopes_supported else None
            issuer = issuer or str(found.authorization_servers[0])
        return _Target(await self._server_metadata(issuer), resource, scope)

    async def _resource_metadata(self, named: str | None) -> ProtectedResourceMetadata | None:
        for url in build_protected_resource_metadata_discovery_urls(named, self._url):
            answer = await self._send("GET", url, headers={"Accept": "application/json"})
            if answer.status >= _SERVER_ERROR:
                raise _failure(f"{url} returned HTTP status {answer.status}.", is_final=False)
            if answer.status == _OK:
                try:
                    return ProtectedResourceMetadata.model_validate_json(answer.body)
                except ValidationError:
                    continue
        return None

    async def _server_metadata(self, issuer: str | None) -> AuthorizationServer:
        expected = issuer or "{0.scheme}://{0.netloc}".format(urlsplit(self._url))
        for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, self._url):
            answer = await self._send("GET", url, headers={"Accept": "application/json"})
            if answer.status >= _SERVER_ERROR:
                raise _failure(f"{url} returned HTTP status {answer.status}.", is_final=False)
            if answer.status != _OK:
                continue
            try:
                found = AuthorizationServer.model_validate_json(answer.body)
            except ValidationError:
                continue
            if not issuers_match(found.issuer, expected):
                raise _failure(f"{url} is the metadata of another issuer ({found.issuer}).")
            return found
        raise _failure(f"{expected} has no metadata of an authorization server.")

    # --- the token ----------------------------------------------------------------------------

    async def _request_token(self, target: _Target) -> OAuthToken:
        endpoint = target.server.token_endpoint
        host = urlsplit(endpoint).hostname or ""
        secret = await self._open_secret(host)
        fields = {"grant_type": "client_credentials", "resource": target.resource}
        if self._scope:
            fields["scope"] = self._scope
        headers, proof = await self._prove(target.server, secret)
        content = urlencode({**fields, **proof}).encode()
        answer = await self._send("POST", endpoint, headers={**_FORM, **headers}, content=content)
        if answer.status != _OK:
            raise _failure(_refusal(answer), is_final=answer.status < _SERVER_ERROR)
        try:
            return OAuthToken.model_validate_json(answer.body)
        except ValidationError:
            raise _failure(f"{host} did not return an access token.") from None

    async def _prove(
        self, server: AuthorizationServer, secret: str
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the headers and the fields that authenticate the client."""
        client_id = self._credentials.client_id
        if self._credentials.type == "private_key_jwt":
            assertion = await self._assertion(server.issuer, secret)
            return {}, {
                "client_id": client_id,
                "client_assertion_type": _ASSERTION,
                "client_assertion": assertion,
            }
        if "client_secret_basic" in server.token_endpoint_auth_methods_supported:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {}
        return {}, {"client_id": client_id, "client_secret": secret}

    async def _assertion(self, issuer: str, key: str) -> str:
        """Sign an assertion for the authorization server; it is valid for five minutes."""
        parameters = SignedJWTParameters(
            issuer=self._credentials.client_id,
            subject=self._credentials.client_id,
            signing_key=key,
            signing_algorithm=self._credentials.algorithm,
        )
        try:
            return await parameters.create_assertion_provider()(issuer)
        except (jwt.PyJWTError, ValueError, TypeError):
            # The error is not kept: its text may contain a part of the key.
            raise _failure(
                f"The private key is not a PEM key for {self._credentials.algorithm}."
            ) from None


class BearerAuth(httpx2.Auth):
    """Sends the token, and gets one when the server asks for it, or for a wider scope."""

    def __init__(self, tokens: AccessTokens) -> None:
        """`tokens` is shared by the connections of a user to a server."""
        self._tokens = tokens

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send the request, and once more with a new token if that is refused.

        A refused token is discarded: a server may have revoked it before it ends.
        """
        token = self._tokens.current
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if _asks_for_token(response):
            renewed = await self._tokens.renew(token, response)
            request.headers["Authorization"] = f"Bearer {renewed}"
            response = yield request
            if response.status_code == _UNAUTHORIZED:
                self._tokens.discard(renewed)


def _asks_for_token(response: httpx2.Response) -> bool:
    if response.status_code == _FORBIDDEN:
        return extract_field_from_www_auth(response, "error") == "insufficient_scope"
    return response.status_code == _UNAUTHORIZED


def _refusal(answer: HttpAnswer) -> str:
    """The error of a token endpoint (RFC 6749, section 5.2)."""
    try:
        fields = TokenError.model_validate_json(answer.body)
    except ValidationError:
        return f"The authorization server returned HTTP status {answer.status}."
    text = ": ".join(filter(None, (fields.error, fields.error_description)))
    return f"The authorization server refuses a token ({text[:MAX_ERROR_CHARACTERS]})."


class TokenError(BaseModel):
    """The body of a refusal."""

    error: str
    error_description: str | None = None


def _failure(sentence: str, *, is_final: bool = True) -> McpServerError:
    return McpServerError(clean(harmless(sentence)), is_final=is_final)
