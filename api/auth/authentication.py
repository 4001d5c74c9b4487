"""Authentication of requests with tokens, API keys and sessions of browsers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Literal
from uuid import UUID

from api.auth.browser_sessions import BrowserSession
from api.auth.principal import Principal
from api.auth.rate_limits import Rates
from api.auth.tokens import Claims, Tokens
from domain.errors import ServiceUnavailableError, UnauthenticatedError, UserDisabledError
from persistence.db.database import Database
from persistence.identity import api_keys, groups, users
from persistence.tables.ledger import UserRow
from services.identity import sign_ins

REMEMBERED_SECONDS = 5.0
"""How long valid credentials and their user are cached, but never beyond their expiry. A change at
another gateway takes effect here after this time (chosen)."""

LOOKING_SECONDS = 1.0
"""While one request checks credentials again, other requests use the cached result, so that a busy
client does not cause many checks (chosen: a check takes milliseconds)."""

REMEMBERED_CREDENTIALS = 10_000

NO_CREDENTIALS = "The request has no credentials; send `Authorization: Bearer <token>`."

_Name = tuple[Literal["token", "session"], str]
"""Of cached credentials. Pages contain the nonce of their session, which must not be a token."""


class Authenticator:
    """Converts the `Authorization` header to a principal."""

    def __init__(self, tokens: Tokens, database: Database, refused: Rates | None) -> None:
        """Reads users from `database`; `refused` limits failed attempts per address."""
        self._tokens = tokens
        self._database = database
        self._refused = refused
        self._guesses = asyncio.Lock()
        self._remembered: dict[_Name, tuple[Principal, float]] = {}
        self._forgettings = 0

    async def authenticate(self, authorization: str | None, address: str) -> Principal:
        """Authenticate a request from `address`.

        Raises:
            UnauthenticatedError: the credentials are missing or invalid.
            UserDisabledError: an admin has disabled the user.
            RateLimitedError: too many attempts from this address failed.
        """
        token = _bearer(authorization)
        name: _Name = ("token", token)
        is_known = name in self._remembered
        try:
            return await self._recall(name, lambda: self._check(token, address, is_known=is_known))
        except UnauthenticatedError:
            self.count_refusal(address)
            raise

    async def resume(self, session: BrowserSession) -> Principal:
        """Authenticate a request of a browser that has signed in.

        Raises:
            UnauthenticatedError: the session has ended, or its API key is revoked.
            UserDisabledError: an admin has disabled the user.
        """
        return await self._recall(
            ("session", session.nonce), lambda: self._authenticate_session(session)
        )

    async def _recall(self, name: _Name, check: Callable[[], Awaitable[Principal]]) -> Principal:
        """The principal that is cached under this name, or the result of the check."""
        known = self._remembered.get(name)
        if known and known[1] > time.time():
            return known[0]
        if known:
            self._remember(name, known[0], LOOKING_SECONDS)
        forgettings = self._forgettings
        try:
            principal = await check()
        except (UnauthenticatedError, UserDisabledError):
            self._remembered.pop(name, None)
            raise
        if forgettings == self._forgettings:  # otherwise the read may be older than the change
            self._remember(name, principal, REMEMBERED_SECONDS)
        return principal

    async def check_form(self, authorization: str | None) -> None:
        """Check credentials without the database: the signature of a token, the form of a key.

        Raises:
            UnauthenticatedError: the credentials are missing or invalid.
        """
        token = _bearer(authorization)
        if not token:
            raise UnauthenticatedError(NO_CREDENTIALS)
        if not token.startswith(api_keys.PREFIX):
            with contextlib.suppress(ServiceUnavailableError):
                await self._tokens.read(token)

    def count_refusal(self, address: str) -> None:
        """Count a failed attempt.

        Raises:
            RateLimitedError: too many attempts from this address failed.
        """
        if self._refused is not None:
            self._refused.count(address)

    def forget(self, user_id: UUID) -> None:
        """Remove the cached credentials of this user."""
        self._forgettings += 1
        kept = {t: p for t, p in self._remembered.items() if p[0].user_id != user_id}
        self._remembered = kept

    async def _check(self, token: str, address: str, *, is_known: bool) -> Principal:
        if not token:
            raise UnauthenticatedError(NO_CREDENTIALS)
        if not token.startswith(api_keys.PREFIX):
            return await self._authenticate_token(token)
        if is_known or self._refused is None or self._refused.state(address).remaining:
            return await self._authenticate_key(token)
        # A valid key is accepted from any address, but guessed keys must not load the database.
        async with self._guesses:
            return await self._authenticate_key(token)

    async def _authenticate_token(self, token: str) -> Principal:
        return await self.admit(await self._tokens.read(token))

    async def admit(self, claims: Claims) -> Principal:
        """The user whom verified claims name; the first claims of a user create their row.

        Raises:
            UserDisabledError: an admin has disabled the user.
        """
        async with self._database.transaction() as session:
            user = await users.find_or_create(
                session,
                claims.subject,
                claims.role,
                groups=claims.groups,
                email=claims.email,
            )
            names = await groups.list_names(session, user)
        _require_enabled(user)
        is_admin = claims.role == "admin"
        return Principal(
            user.id,
            claims.subject,
            is_admin,
            expires_at=claims.expires_at,
            scopes=claims.scopes,
            groups=frozenset(names),
        )

    async def _authenticate_key(self, secret: str) -> Principal:
        async with self._database.transaction() as session:
            found = await api_keys.authenticate(session, secret)
            names = [] if found is None else await groups.list_names(session, found[1])
        if found is None:
            raise UnauthenticatedError(
                "The API key is unknown, expired or revoked; create a new one."
            )
        key, user = found
        _require_enabled(user)
        return Principal(
            user.id,
            user.subject,
            is_admin=key.role == user.role == "admin",
            trigger_type="api",
            expires_at=key.expires_at.timestamp() if key.expires_at else None,
            api_key_id=key.id,
            scopes=frozenset(key.scopes),
            groups=frozenset(names),
        )

    async def _authenticate_session(self, session: BrowserSession) -> Principal:
        async with self._database.reading() as reading:
            user = await users.find(reading, session.user_id)
            key_id = session.api_key_id
            key = None if key_id is None else await api_keys.find(reading, key_id)
            names = [] if user is None else await groups.list_names(reading, user)
            is_signed_out = await sign_ins.is_signed_out(reading, session.user_id, session.nonce)
        if is_signed_out:
            raise UnauthenticatedError("This session has ended; sign in again.")
        if user is None or (key_id is not None and key is None):
            raise UnauthenticatedError("The API key of this session is revoked; sign in again.")
        _require_enabled(user)
        return Principal(
            user.id,
            user.subject,
            is_admin=session.is_admin and user.role == "admin",
            trigger_type="manual" if key is None else "api",
            expires_at=session.expires_at,
            api_key_id=key_id,
            scopes=frozenset(() if key is None else key.scopes),
            groups=frozenset(names),
        )

    def _remember(self, name: _Name, principal: Principal, seconds: float) -> None:
        if len(self._remembered) >= REMEMBERED_CREDENTIALS:
            self._remembered.clear()
        until = time.time() + seconds
        if principal.expires_at is not None:
            until = min(until, principal.expires_at)
        self._remembered[name] = (principal, until)


def _bearer(authorization: str | None) -> str:
    """The token in the header, or an empty string."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _require_enabled(user: UserRow) -> None:
    if user.disabled_at is not None:
        raise UserDisabledError("This user is disabled; ask an admin to enable it.")
