"""Who is asking: bearer tokens, and the users they stand for."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from domain.errors import UnauthenticatedError
from persistence import users
from persistence.database import Database

ALGORITHM = "HS256"
"""Pinned: a token that names another algorithm (or `none`) is refused."""

REMEMBERED_SECONDS = 5.0
"""How long a checked token is not checked again, nor its user looked up; never past its end. What
another gateway revokes or forbids holds here after this long (chosen)."""

REMEMBERED_TOKENS = 10_000

_SUBJECT_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Principal:
    """The user a request speaks for."""

    user_id: UUID
    subject: str
    is_admin: bool
    trigger_type: str = "manual"
    """What an execution started by this kind of credentials was triggered by."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    subject: str
    role: str
    expires_at: float


class Tokens:
    """Checks HS256 tokens."""

    def __init__(self, secret: str, role_claim: str) -> None:
        """`role_claim` is the path of the role's claim, with dots (`realm_access.roles`)."""
        self._secret = secret
        self._role_path = role_claim.split(".")

    def read(self, token: str) -> Claims:
        """What the token claims.

        Raises:
            UnauthenticatedError: it is not ours, has ended, or lacks `sub` or `exp`.
        """
        try:
            payload = jwt.decode(
                token, self._secret, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]}
            )
        except (jwt.InvalidTokenError, ValueError) as error:
            raise UnauthenticatedError(f"The token is not valid: {error}.") from error
        subject = payload["sub"]
        if not 0 < len(subject) <= _SUBJECT_LIMIT or not subject.isprintable():
            raise UnauthenticatedError("The token's `sub` must be 1 to 255 printable characters.")
        return Claims(subject, self._role(payload), float(payload["exp"]))

    def _role(self, payload: Mapping[str, Any]) -> str:
        """Admin where the claim says so, alone or in a list; anything else is a user."""
        value: Any = payload
        for step in self._role_path:
            value = value.get(step) if isinstance(value, Mapping) else None
        roles = value if isinstance(value, list) else [value]
        return "admin" if "admin" in roles else "user"


class Authenticator:
    """Turns the `Authorization` header into a principal."""

    def __init__(self, tokens: Tokens, database: Database) -> None:
        """Looks users up in `database`, and remembers tokens for a while."""
        self._tokens = tokens
        self._database = database
        self._remembered: dict[str, tuple[Principal, float]] = {}

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of a request.

        Raises:
            UnauthenticatedError: no credentials, or credentials that don't hold.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("Send a token: `Authorization: Bearer <token>`.")
        known = self._remembered.get(token)
        if known and known[1] > time.time():
            return known[0]
        claims = self._tokens.read(token.strip())
        async with self._database.transaction() as session:
            user_id = await users.see(session, claims.subject, claims.role)
        principal = Principal(user_id, claims.subject, is_admin=claims.role == "admin")
        self._remember(token, principal, claims.expires_at)
        return principal

    def _remember(self, token: str, principal: Principal, expires_at: float) -> None:
        if len(self._remembered) >= REMEMBERED_TOKENS:
            self._remembered.clear()
        until = min(expires_at, time.time() + REMEMBERED_SECONDS)
        self._remembered[token] = (principal, until)
