"""Signs people in at the identity provider: OpenID Connect, authorization code with PKCE.

The provider is the issuer whose tokens the API accepts, so a person is the same user in the browser
and with a token: the `sub` of this one issuer.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2
import jwt

from api.auth.key_sets import KeySet
from api.auth.tokens import Claims, Tokens
from domain.errors import ServiceUnavailableError, UnauthenticatedError
from runtime.settings import Settings

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

ATTEMPT_LIFETIME = timedelta(minutes=10)
"""Time in which a person signs in at the provider (chosen)."""

SESSION_LIFETIME = timedelta(hours=12)
"""The role comes from the provider, so a session ends after a working day (chosen); the provider
usually renews it without a question."""

PROVIDER_SECONDS = 10.0
"""Timeout for a request to the provider (chosen)."""

_RANDOM_BYTES = 32

_UNAVAILABLE = "The identity provider does not answer. Try again in a few seconds."


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """A sign-in that a browser has started; an encrypted cookie contains it."""

    state: str
    nonce: str
    verifier: str
    page: str
    callback: str
    started_at: float

    @classmethod
    def start(cls, page: str, callback: str) -> Self:
        """A new attempt, after which the browser continues to `page`."""
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        return cls(state, nonce, verifier, page, callback, time.time())

    def to_text(self) -> str:
        """The attempt as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an attempt.

        Raises:
            UnauthenticatedError: it has ended.
        """
        attempt = cls(**json.loads(text))
        if time.time() - attempt.started_at > ATTEMPT_LIFETIME.total_seconds():
            raise UnauthenticatedError("The sign-in took too long; start it again.")
        return attempt


@asynccontextmanager
async def open_provider(settings: Settings) -> AsyncIterator["IdentityProvider | None"]:
    """The provider in the settings, if there is one, closed when the block ends.

    Raises:
        ValueError: the settings of the provider are not complete.
    """
    provider = IdentityProvider.of(settings)
    yield provider
    if provider is not None:
        await provider.close()


class IdentityProvider:
    """The identity provider at which people sign in."""

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        tokens: Tokens,
        names_groups: bool,
    ) -> None:
        """`tokens` verifies its ID tokens, whose audience is the client.

        `names_groups`: an ID token without the groups claim is of a user without groups.
        """
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._tokens = tokens
        self._names_groups = names_groups
        self._metadata: dict[str, Any] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The provider in the settings, if there is one.

        Raises:
            ValueError: the settings of the provider are not complete.
        """
        client_id = settings.oidc_client_id
        if not client_id:
            return None
        if settings.jwks_url is None or not settings.jwt_issuer:
            raise ValueError(
                "PERDURE_OIDC_CLIENT_ID needs PERDURE_JWKS_URL and PERDURE_JWT_ISSUER; set both."
            )
        tokens = Tokens(
            secret=None,
            key_set=KeySet(str(settings.jwks_url)),
            issuer=settings.jwt_issuer,
            audience=client_id,
            role_claim=settings.jwt_role_claim,
            groups_claim=settings.jwt_groups_claim,
        )
        secret = settings.oidc_client_secret
        return cls(
            issuer=settings.jwt_issuer,
            client_id=client_id,
            client_secret=secret.get_secret_value() if secret else None,
            tokens=tokens,
            names_groups=settings.jwt_groups_claim is not None,
        )

    async def close(self) -> None:
        """Close connections to the key set."""
        await self._tokens.close()

    async def make_address(self, attempt: SignInAttempt) -> str:
        """The address at the provider to which the browser goes.

        Raises:
            ServiceUnavailableError: the provider does not answer.
        """
        metadata = await self._read_metadata()
        async with self._client(attempt) as client:
            address, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address)

    async def make_sign_out_address(self, return_to: str) -> str | None:
        """The address at which the browser signs out of the provider; None if it offers none.

        The provider sends the browser to `return_to` if the client has registered this address
        (OpenID Connect RP-Initiated Logout 1.0, section 2).

        Raises:
            ServiceUnavailableError: the provider does not answer.
        """
        endpoint = (await self._read_metadata()).get("end_session_endpoint")
        if not isinstance(endpoint, str):
            return None
        given = {"client_id": self._client_id, "post_logout_redirect_uri": return_to}
        return str(httpx2.URL(endpoint).copy_merge_params(given))

    async def finish(self, attempt: SignInAttempt, response: str) -> Claims:
        """Exchange the code in the address `response` for an ID token, and verify it.

        Raises:
            UnauthenticatedError: the provider refused, or the response belongs to no attempt.
            ServiceUnavailableError: the provider does not answer.
        """
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415 - see `_client`

        _require_code(attempt, response)
        metadata = await self._read_metadata()
        try:
            async with self._client(attempt) as client:
                token = await client.fetch_token(
                    metadata["token_endpoint"],
                    authorization_response=response,
                    state=attempt.state,
                    code_verifier=attempt.verifier,
                )
        except AuthlibBaseError as error:
            reason = error.description or error.error
            raise UnauthenticatedError(
                f"The identity provider refused the sign-in: {reason}. Try again."
            ) from error
        except (httpx2.HTTPError, ValueError) as error:  # no answer, or one that is not JSON
            raise ServiceUnavailableError(_UNAVAILABLE) from error
        return await self._verify(attempt, str(token.get("id_token") or ""))

    async def _verify(self, attempt: SignInAttempt, id_token: str) -> Claims:
        claims = await self._tokens.read(id_token)
        payload = jwt.decode(id_token, options={"verify_signature": False})  # verified above
        if not secrets.compare_digest(str(payload.get("nonce")), attempt.nonce):
            raise UnauthenticatedError("This sign-in belongs to another browser; start it again.")
        # Providers leave the claim out if a user is in no group, or in none any more.
        return replace(claims, groups=claims.groups or ()) if self._names_groups else claims

    def _client(self, attempt: SignInAttempt) -> "AsyncOAuth2Client":
        """A client for one request. The library is loaded with the first sign-in."""
        from authlib.integrations.httpx_client import (  # noqa: PLC0415 - see above
            AsyncOAuth2Client,
        )

        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret,
            scope="openid profile email",
            redirect_uri=attempt.callback,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self._client_secret else "none",
            timeout=PROVIDER_SECONDS,
        )

    async def _read_metadata(self) -> dict[str, Any]:
        """The addresses of the provider (OpenID Connect Discovery 1.0, section 4)."""
        if self._metadata is None:
            url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                async with httpx2.AsyncClient(timeout=PROVIDER_SECONDS) as client:
                    found = (await client.get(url)).raise_for_status().json()
            except (httpx2.HTTPError, ValueError) as error:
                raise ServiceUnavailableError(_UNAVAILABLE) from error
            if found.get("issuer") != self.issuer:
                raise ServiceUnavailableError(
                    "The identity provider names another issuer than PERDURE_JWT_ISSUER."
                )
            self._metadata = found
        return self._metadata


def _require_code(attempt: SignInAttempt, response: str) -> None:
    """Refuse a response without a code; for one, authlib would ask for a token of the client.

    Raises:
        UnauthenticatedError: the provider has refused, or the response belongs to no attempt.
    """
    given = dict(parse_qsl(urlsplit(response).query))
    if not secrets.compare_digest(given.get("state", "").encode(), attempt.state.encode()):
        raise UnauthenticatedError("This sign-in belongs to another browser; start it again.")
    if "code" not in given:
        reason = given.get("error_description") or given.get("error") or "it sent no code"
        raise UnauthenticatedError(
            f"The identity provider refused the sign-in: {reason}. Try again."
        )
