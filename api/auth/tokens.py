"""Checking JWTs: ours by the secret, others' by their published keys, never one as the other."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jwt

from api.auth.key_sets import KeySet
from domain.errors import UnauthenticatedError
from runtime.settings import Settings

OURS = "HS256"
THEIRS = frozenset({"RS256", "ES256"})
"""Which key is tried follows from the algorithm alone, and each has its own: a token that is signed
with a public key as if that were a secret meets the secret, and `none` meets nothing."""

LEEWAY_SECONDS = 5.0
"""For `nbf` and `iat`, whose issuer's clock may be ahead of ours; `exp` has none (chosen)."""

_SUBJECT_LIMIT = 255

_NO_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What PyJWT raises of tokens that hold other JSON than it expects, too deep or of other types."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    subject: str
    role: str
    expires_at: float


class Tokens:
    """Checks tokens by a secret, by a key set, or by both."""

    def __init__(
        self,
        *,
        secret: str | None,
        key_set: KeySet | None,
        issuer: str | None,
        audience: str | None,
        role_claim: str,
    ) -> None:
        """`role_claim` is the path of the role's claim, with dots (`realm_access.roles`)."""
        self.key_set = key_set
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._role_path = role_claim.split(".")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator wants it.

        Raises:
            ValueError: no key is configured, or a key set without issuer and audience.
        """
        secret, url = settings.jwt_secret, settings.jwks_url
        if secret is None and url is None:
            raise ValueError("Set PERDURE_JWT_SECRET or PERDURE_JWKS_URL, so that tokens hold.")
        if url and not (settings.jwt_issuer and settings.jwt_audience):
            raise ValueError(
                "PERDURE_JWKS_URL needs PERDURE_JWT_ISSUER and PERDURE_JWT_AUDIENCE: without them, "
                "tokens that were made for other services would open this one."
            )
        return cls(
            secret=secret.get_secret_value() if secret else None,
            key_set=KeySet(str(url)) if url else None,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            role_claim=settings.jwt_role_claim,
        )

    async def close(self) -> None:
        """Close connections to the key set."""
        if self.key_set is not None:
            await self.key_set.close()

    async def read(self, token: str) -> Claims:
        """What the token claims.

        Raises:
            UnauthenticatedError: it is not ours, has ended, or lacks `sub` or `exp`.
            ServiceUnavailableError: the keys to check it with can't be fetched.
        """
        try:
            header = jwt.get_unverified_header(token)
            payload = await self._payload(token, header)
            expires_at = float(payload["exp"])
        except _NO_TOKEN as error:
            raise UnauthenticatedError(f"The token is not valid: {error}.") from error
        if expires_at <= time.time():
            raise UnauthenticatedError("The token is not valid: Signature has expired.")
        subject = payload["sub"]
        if not 0 < len(subject) <= _SUBJECT_LIMIT or not subject.isprintable():
            raise UnauthenticatedError("The token's `sub` must be 1 to 255 printable characters.")
        return Claims(subject, self._role(payload), expires_at)

    async def _payload(self, token: str, header: Mapping[str, Any]) -> dict[str, Any]:
        algorithm = str(header.get("alg"))
        if algorithm == OURS and self._secret is not None:
            return self._ours(token, self._secret)
        if algorithm in THEIRS and self.key_set is not None:
            key = await self.key_set.find(header.get("kid"), algorithm)
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        raise UnauthenticatedError("Tokens that are signed with this algorithm don't hold here.")

    def _ours(self, token: str, secret: str) -> dict[str, Any]:
        """Who has the secret speaks for us; issuer and audience are compared where they stand."""
        payload: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[OURS],
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
        if self._issuer is not None and payload.get("iss", self._issuer) != self._issuer:
            raise jwt.InvalidIssuerError("Invalid issuer")
        named = payload.get("aud", self._audience)
        if named is not None and self._audience not in (
            named if isinstance(named, list) else [named]
        ):
            raise jwt.InvalidAudienceError("Audience doesn't match")
        return payload

    def _role(self, payload: Mapping[str, Any]) -> str:
        """Admin where the claim says so, alone or in a list; anything else is a user."""
        value: Any = payload
        for step in self._role_path:
            value = value.get(step) if isinstance(value, Mapping) else None
        roles = value if isinstance(value, list) else [value]
        return "admin" if "admin" in roles else "user"
