"""Sessions of browsers, and one-time codes that start them: encrypted, and stored nowhere.

The gateway keeps no list of sessions: a cookie contains the whole session, encrypted with a key
that all gateways share. Each request reads the user and the API key again (`Authenticator.resume`).
"""

import json
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal, Self
from uuid import UUID

from api.auth.identity_providers import SignInAttempt
from api.auth.principal import Principal
from domain.errors import SecretsNotConfiguredError, UnauthenticatedError
from domain.secrets import from_url_text, to_url_text
from runtime.secret_box import SecretBox, make_token_box
from runtime.settings import Settings

SESSION_LIFETIME = timedelta(days=7)
"""A person signs in once a week (chosen); a session never outlives its credentials."""

CODE_LIFETIME = timedelta(minutes=5)
"""Time in which a person opens the link with a one-time code (chosen)."""

_NONCE_BYTES = 16

_ATTEMPT = "sign-in attempt"

Purpose = Literal["browser session", "sign-in code"]


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Whom a browser acts for, and until when (seconds since 1970).

    `nonce` is random: it identifies a code, and forms of the session contain it, so that no other
    page can send them.
    """

    user_id: UUID
    is_admin: bool
    api_key_id: UUID | None
    expires_at: float
    nonce: str
    is_from_provider: bool = False
    """Whether the person has signed in at the identity provider."""

    @classmethod
    def of(cls, principal: Principal, *, is_from_provider: bool = False) -> Self:
        """A new session for a user who has shown valid credentials."""
        seconds = min(SESSION_LIFETIME.total_seconds(), principal.seconds_left)
        return cls(
            user_id=principal.user_id,
            is_admin=principal.is_admin,
            api_key_id=principal.api_key_id,
            expires_at=time.time() + seconds,
            nonce=secrets.token_urlsafe(_NONCE_BYTES),
            is_from_provider=is_from_provider,
        )


class SessionBox:
    """Encrypts and decrypts sessions."""

    def __init__(self, box: SecretBox) -> None:
        """All gateways of an installation have the same keys in `box`."""
        self._box = box

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """With the key for secrets, or with a key that is derived from the key for tokens."""
        return cls(make_token_box(settings))

    def require_key(self) -> None:
        """Refuse to sign in a browser without a key.

        Raises:
            SecretsNotConfiguredError: the operator has set no key.
        """
        if not self._box.is_ready:
            raise SecretsNotConfiguredError(
                "Browsers can't sign in at this gateway. Ask the operator to set "
                "PERDURE_SECRETS_KEY to 32 random characters or more (`openssl rand -base64 32`)."
            )

    def seal(self, session: BrowserSession, purpose: Purpose) -> str:
        """The session as text for a cookie or a link. A code ends after `CODE_LIFETIME`."""
        fields = asdict(session) | {"user_id": str(session.user_id)}
        fields["api_key_id"] = None if session.api_key_id is None else str(session.api_key_id)
        fields["sealed_at"] = time.time()
        return to_url_text(self._box.seal(json.dumps(fields), label=purpose))

    def seal_attempt(self, attempt: SignInAttempt) -> str:
        """An attempt to sign in at the identity provider, as text for a cookie."""
        return to_url_text(self._box.seal(attempt.to_text(), label=_ATTEMPT))

    def open_attempt(self, text: str) -> SignInAttempt:
        """Decrypt an attempt.

        Raises:
            UnauthenticatedError: we did not make this text, or the attempt has ended.
        """
        try:
            return SignInAttempt.parse(self._box.open(from_url_text(text), label=_ATTEMPT))
        except (SecretsNotConfiguredError, ValueError) as error:
            raise UnauthenticatedError("This browser has started no sign-in.") from error

    def open(self, text: str, purpose: Purpose) -> BrowserSession:
        """Decrypt a session.

        Raises:
            UnauthenticatedError: we did not make this text for this purpose, or it has ended.
        """
        try:
            fields = json.loads(self._box.open(from_url_text(text), label=purpose))
        except (SecretsNotConfiguredError, ValueError) as error:
            raise UnauthenticatedError("Sign in to open this page.") from error
        sealed_at = fields.pop("sealed_at")
        if fields["api_key_id"] is not None:
            fields["api_key_id"] = UUID(fields["api_key_id"])
        session = BrowserSession(**fields | {"user_id": UUID(fields["user_id"])})
        ends_at = session.expires_at
        if purpose == "sign-in code":
            ends_at = min(ends_at, sealed_at + CODE_LIFETIME.total_seconds())
        if ends_at <= time.time():
            raise UnauthenticatedError("This has expired; sign in again.")
        return session
