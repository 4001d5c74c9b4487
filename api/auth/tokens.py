"""Verification of JWTs, with our secret or with the keys of an identity provider."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jwt

from api.auth.key_sets import ALGORITHMS, KeySet
from definitions.notifications import EMAIL
from domain.errors import UnauthenticatedError
from domain.people.requests import GROUP, group_of
from runtime.settings import Settings

OURS = "HS256"
THEIRS = ALGORITHMS
"""The algorithm alone selects the key, and the kinds of keys are separate. A token that is signed
with a public key as a secret is therefore refused, and so is `none`."""

LEEWAY_SECONDS = 5.0
"""For `nbf` and `iat`, if the issuer's clock is ahead; `exp` has no leeway (chosen)."""

_SUBJECT_LIMIT = 255

_EMAIL = re.compile(EMAIL)

MAX_GROUPS = 200
"""Groups of one token that count: as many as identity providers put into a token."""

_NO_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""Exceptions that PyJWT raises for malformed tokens, such as nested or unexpected JSON."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token."""

    subject: str
    role: str
    expires_at: float
    scopes: frozenset[str]
    groups: tuple[str, ...] | None = None
    """The names of the user's groups; None if the token has no claim for them."""
    email: str | None = None
    """The user's address, which the issuer has verified; None if the token has none."""


class Tokens:
    """Verifies tokens with a secret, a key set, or both."""

    def __init__(
        self,
        *,
        secret: str | None,
        key_set: KeySet | None,
        issuer: str | None,
        audience: str | None,
        role_claim: str,
        groups_claim: str | None = None,
    ) -> None:
        """`role_claim` is the name of the role claim, or its path (`realm_access.roles`).

        `groups_claim` is that of the user's groups.
        """
        self.key_set = key_set
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._role_claim = role_claim
        self._groups_claim = groups_claim

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Create it from the settings.

        Raises:
            ValueError: no key is configured, or a key set without issuer and audience.
        """
        secret, url = settings.jwt_secret, settings.jwks_url
        if secret is None and url is None:
            raise ValueError(
                "No key for tokens is configured. Set PERDURE_JWT_SECRET or PERDURE_JWKS_URL."
            )
        if url and not (settings.jwt_issuer and settings.jwt_audience):
            raise ValueError(
                "PERDURE_JWKS_URL needs PERDURE_JWT_ISSUER and PERDURE_JWT_AUDIENCE; set both. "
                "Without them, tokens for other services would be accepted."
            )
        return cls(
            secret=secret.get_secret_value() if secret else None,
            key_set=KeySet(str(url)) if url else None,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            role_claim=settings.jwt_role_claim,
            groups_claim=settings.jwt_groups_claim,
        )

    async def close(self) -> None:
        """Close connections to the key set."""
        if self.key_set is not None:
            await self.key_set.close()

    async def read(self, token: str) -> Claims:
        """Verify the token and return its claims.

        Raises:
            UnauthenticatedError: the token is invalid, expired, or has no `sub` or `exp`.
            ServiceUnavailableError: the keys of the provider cannot be fetched.
        """
        try:
            header = _read_header(token)
            payload = await self._verify_payload(token, header)
            expires_at = float(payload["exp"])
        except _NO_TOKEN as error:
            raise UnauthenticatedError(f"The token is not valid: {error}.") from error
        if expires_at <= time.time():
            raise UnauthenticatedError("The token is not valid: Signature has expired.")
        subject = payload["sub"]
        if not 0 < len(subject) <= _SUBJECT_LIMIT or not subject.isprintable():
            raise UnauthenticatedError("The token's `sub` must be 1 to 255 printable characters.")
        if group_of(subject) is not None:
            raise UnauthenticatedError(
                f"The token's `sub` must not begin with {GROUP!r}, which names a group of users."
            )
        return Claims(
            subject,
            self._role(payload),
            expires_at,
            _scopes(payload),
            self._groups(payload),
            _verified_email(payload, is_ours=header.get("alg") == OURS),
        )

    async def _verify_payload(self, token: str, header: Mapping[str, Any]) -> dict[str, Any]:
        algorithm = str(header.get("alg"))
        if algorithm == OURS and self._secret is not None:
            return self._verify_ours(token, self._secret)
        if algorithm in THEIRS and self.key_set is not None:
            keys = await self.key_set.find(header.get("kid"), algorithm)
            return self._verify_theirs(token, keys, algorithm)
        raise UnauthenticatedError("Tokens with this signing algorithm are not accepted.")

    def _verify_theirs(
        self, token: str, keys: Sequence[jwt.PyJWK], algorithm: str
    ) -> dict[str, Any]:
        """Check with each of the keys until one fits; several may have the same id."""
        for position, key in enumerate(keys, 1):
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=self._issuer,
                    audience=self._audience,
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["exp", "sub", "iss", "aud"]},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
                if position == len(keys):
                    raise
        raise jwt.InvalidKeyError("no key fits")

    def _verify_ours(self, token: str, secret: str) -> dict[str, Any]:
        """Check issuer and audience if the token contains them."""
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
        """`admin` if the claim is or contains it, otherwise `user`."""
        value = find_claim(payload, self._role_claim)
        roles = value if isinstance(value, list) else [value]
        return "admin" if "admin" in roles else "user"

    def _groups(self, payload: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The first `MAX_GROUPS` names in the claim; None if it is not configured or missing."""
        claim = None if self._groups_claim is None else find_claim(payload, self._groups_claim)
        return None if claim is None else tuple(dict.fromkeys(_names(claim)))[:MAX_GROUPS]


def _read_header(token: str) -> Any:
    try:
        return jwt.get_unverified_header(token)
    except jwt.DecodeError as error:
        raise UnauthenticatedError(
            "This is neither a token nor an API key: check that you copied all of it."
        ) from error


def _verified_email(payload: Mapping[str, Any], *, is_ours: bool) -> str | None:
    """The address, if the issuer has verified it; we sign only addresses that an operator names."""
    email = payload.get("email")
    is_verified = is_ours or payload.get("email_verified") in (True, "true")
    return email if is_verified and isinstance(email, str) and _EMAIL.fullmatch(email) else None


def _names(value: Any) -> Iterator[str]:
    """The texts in a claim: a list, or words of one text."""
    listed = value.split() if isinstance(value, str) else value
    if isinstance(listed, list):
        yield from (name for name in listed if isinstance(name, str))


def _scopes(payload: Mapping[str, Any]) -> frozenset[str]:
    """The scopes of the token: `scope` (RFC 9068), or `scp`, as some providers name it."""
    return frozenset(_names(payload.get("scope", payload.get("scp", ""))))


def find_claim(claims: Any, path: str) -> Any:
    """The claim with this name; otherwise the one at this path, whose steps may contain dots.

    Names that begin with more of the path come first: `https://example.com/roles` is one name.
    """
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    steps = path.split(".")
    for length in range(len(steps) - 1, 0, -1):
        name, rest = ".".join(steps[:length]), ".".join(steps[length:])
        if (value := find_claim(claims.get(name), rest)) is not None:
            return value
    return None
