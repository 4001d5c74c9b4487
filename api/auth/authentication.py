"""Who is asking: tokens and API keys, and the users they stand for."""

import time
from dataclasses import dataclass
from uuid import UUID

from api.auth.rate_limits import Rates
from api.auth.tokens import Tokens
from domain.errors import RateLimitedError, UnauthenticatedError, UserDisabledError
from persistence.db.database import Database
from persistence.identity import api_keys, users
from persistence.tables.users import UserRow

REMEMBERED_SECONDS = 5.0
"""How long checked credentials are not checked again, nor their user looked up; never past their
end. What another gateway revokes or forbids holds here after this long (chosen)."""

LOOKING_SECONDS = 1.0
"""While one request looks again, others go on with what was known, or a busy client's would all
look at once (chosen: a look takes milliseconds)."""

REMEMBERED_CREDENTIALS = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """The user a request speaks for."""

    user_id: UUID
    subject: str
    is_admin: bool
    trigger_type: str = "manual"
    """What an execution started by this kind of credentials was triggered by."""
    expires_at: float | None = None
    """When the credentials end."""
    api_key_id: UUID | None = None
    """The key, where the credentials are one."""
    is_hook: bool = False
    """A hook acts on behalf of the user; the audit log names no actor."""


class Authenticator:
    """Turns the `Authorization` header into a principal."""

    def __init__(self, tokens: Tokens, database: Database, refused: Rates | None) -> None:
        """Looks users up in `database`; `refused` limits what an address may try."""
        self._tokens = tokens
        self._database = database
        self._refused = refused
        self._remembered: dict[str, tuple[Principal, float]] = {}
        self._forgettings = 0

    async def authenticate(self, authorization: str | None, address: str) -> Principal:
        """The principal of a request that comes from `address`.

        Raises:
            UnauthenticatedError: no credentials, or credentials that don't hold.
            UserDisabledError: an admin has switched the user off.
            RateLimitedError: too many from this address didn't hold.
        """
        token = _bearer(authorization)
        known = self._remembered.get(token)
        if known and known[1] > time.time():
            return known[0]
        if known:
            self._remember(token, known[0], LOOKING_SECONDS)
        forgettings = self._forgettings
        try:
            principal = await self._check(token, address, is_known=known is not None)
        except (UnauthenticatedError, UserDisabledError) as error:
            self._remembered.pop(token, None)
            if isinstance(error, UnauthenticatedError):
                self.refused(address)
            raise
        if forgettings == self._forgettings:  # else it may have been read before what has changed
            self._remember(token, principal, REMEMBERED_SECONDS)
        return principal

    def refused(self, address: str) -> None:
        """Count credentials that didn't hold.

        Raises:
            RateLimitedError: there were too many from this address.
        """
        if self._refused is not None:
            self._refused.count(address)

    def forget(self, user_id: UUID) -> None:
        """Check again whatever speaks for this user."""
        self._forgettings += 1
        kept = {t: p for t, p in self._remembered.items() if p[0].user_id != user_id}
        self._remembered = kept

    async def _check(self, token: str, address: str, *, is_known: bool) -> Principal:
        if not token:
            raise UnauthenticatedError("Send a token: `Authorization: Bearer <token>`.")
        if not token.startswith(api_keys.MARK):
            return await self._by_token(token)
        # Guessed keys must not keep the database busy; those that held before are looked up.
        if self._refused and not is_known and not self._refused.standing(address).remaining:
            raise RateLimitedError("Too many keys from your address did not hold.", 1)
        return await self._by_key(token)

    async def _by_token(self, token: str) -> Principal:
        claims = await self._tokens.read(token)
        async with self._database.transaction() as session:
            user = await users.see(session, claims.subject, claims.role)
        _require_enabled(user)
        is_admin = claims.role == "admin"
        return Principal(user.id, claims.subject, is_admin, expires_at=claims.expires_at)

    async def _by_key(self, secret: str) -> Principal:
        async with self._database.transaction() as session:
            found = await api_keys.use(session, secret)
        if found is None:
            raise UnauthenticatedError("The API key is unknown, has ended, or was revoked.")
        key, user = found
        _require_enabled(user)
        return Principal(
            user.id,
            user.subject,
            is_admin=key.role == user.role == "admin",
            trigger_type="api",
            expires_at=key.expires_at.timestamp() if key.expires_at else None,
            api_key_id=key.id,
        )

    def _remember(self, token: str, principal: Principal, seconds: float) -> None:
        if len(self._remembered) >= REMEMBERED_CREDENTIALS:
            self._remembered.clear()
        until = time.time() + seconds
        if principal.expires_at is not None:
            until = min(until, principal.expires_at)
        self._remembered[token] = (principal, until)


def _bearer(authorization: str | None) -> str:
    """The token in the header; empty where there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _require_enabled(user: UserRow) -> None:
    if user.disabled_at is not None:
        raise UserDisabledError("This user is disabled; an admin can change that.")
