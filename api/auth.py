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

REMEMBERED_SECONDS = 60.0
"""How long a user's row is not looked up again; nothing in it changes but by the token itself."""

REMEMBERED_USERS = 10_000

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
        return Claims(subject, self._role(payload))

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
        """Looks users up in `database`, and remembers them for a while."""
        self._tokens = tokens
        self._database = database
        self._remembered: dict[Claims, tuple[UUID, float]] = {}

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of a request.

        Raises:
            UnauthenticatedError: no credentials, or credentials that don't hold.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("Send a token: `Authorization: Bearer <token>`.")
        claims = self._tokens.read(token.strip())
        user_id = await self._user_id(claims)
        return Principal(user_id, claims.subject, is_admin=claims.role == "admin")

    async def _user_id(self, claims: Claims) -> UUID:
        known = self._remembered.get(claims)
        if known and known[1] > time.monotonic():
            return known[0]
        async with self._database.transaction() as session:
            user_id = await users.see(session, claims.subject, claims.role)
        if len(self._remembered) >= REMEMBERED_USERS:
            self._remembered.clear()
        self._remembered[claims] = (user_id, time.monotonic() + REMEMBERED_SECONDS)
        return user_id
