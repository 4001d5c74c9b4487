"""Taking a notification where it goes: one function for each kind. Any end is an answer."""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import structlog
from standardwebhooks import Webhook

from activities import messages
from domain.errors import (
    AddressRefusedError,
    OutboundError,
    SecretsNotConfiguredError,
    SecretUnusableError,
)
from domain.notifications import Kind, is_final, is_success
from domain.secrets import may_reach
from persistence.db.database import Database
from persistence.definitions import secrets
from persistence.notifications.deliveries import EXCERPT, Tried, Try
from persistence.tables.notifications import NotificationRow
from runtime.mail import Mailer, MailRefusedError
from runtime.outbound import Answer, Outbound
from runtime.secret_box import SecretBox

log = structlog.get_logger(__name__)

FINAL = (AddressRefusedError, MailRefusedError, SecretUnusableError, SecretsNotConfiguredError)
"""What no other try mends before somebody changes something, and asks for a redelivery."""

NO_MAILER = "No mail server is set; an operator sets PERDURE_SMTP_URL."
KEY_PREFIX = "whsec_"
NO_SIGNING_KEY = (
    "The secret is no signing key, which is whsec_ and base64; "
    "`perdure secrets set NAME --signing-key` makes one."
)


@dataclass(frozen=True, slots=True)
class Sender:
    """The ways out of this worker."""

    database: Database
    outbound: Outbound
    sealer: SecretBox
    mailer: Mailer | None

    async def send(self, this: Try) -> Tried:
        """Make a try that is on record, with its notification's payload pinned."""
        row = this.notification
        ways = {Kind.WEBHOOK: self._webhook, Kind.EMAIL: self._mail, Kind.SLACK: self._slack}
        try:
            return await ways[Kind(row.kind)](row, row.payload or {})
        except FINAL as error:
            return Tried(error=error.detail, is_final=True)
        except OutboundError as error:
            return Tried(error=error.detail)
        except Exception as error:  # noqa: BLE001 - the edge: a fault of ours is a try as well
            log.error("notification.not_sent", error=type(error).__name__, id=str(row.id))  # noqa: TRY400 - a text may show content
            return Tried(error=f"The worker could not send it ({type(error).__name__}).")

    async def _webhook(self, row: NotificationRow, payload: Mapping[str, Any]) -> Tried:
        body = json.dumps(payload)
        headers = {"content-type": "application/json", **await self._signature(row, body)}
        said = await self.outbound.send(
            "POST", row.target["url"], headers=headers, content=body.encode()
        )
        return _judged(said)

    async def _signature(self, row: NotificationRow, body: str) -> Mapping[str, str]:
        """The headers of Standard Webhooks: the id of the message, and of this try the time."""
        now, message_id = datetime.now(UTC), str(row.message_id)
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp()))}
        reference = row.target.get("secret_ref")
        if reference is None:
            return headers
        key = _signing_key(await self._secret(row, reference))
        return {**headers, "webhook-signature": Webhook(key).sign(message_id, now, body)}

    async def _slack(self, row: NotificationRow, payload: Mapping[str, Any]) -> Tried:
        url, reference = row.target.get("url"), row.target.get("secret_ref")
        if url is None:
            url = await self._secret(row, reference or "", is_sent=True)
        said = await self.outbound.send(
            "POST",
            url,
            headers={"content-type": "application/json"},
            content=json.dumps(messages.slack_of(payload)).encode(),
        )
        return _judged(said)

    async def _mail(self, row: NotificationRow, payload: Mapping[str, Any]) -> Tried:
        if self.mailer is None:
            return Tried(error=NO_MAILER, is_final=True)
        mail = messages.mail_of(payload, row.target["to"], str(row.message_id))
        return Tried(excerpt=await self.mailer.send(mail))

    async def _secret(self, row: NotificationRow, reference: str, *, is_sent: bool = False) -> str:
        """The value, in the namespace of whose execution it is.

        `is_sent`: it is an address itself, so its host must be one that the secret may reach. A
        signing key stays here.
        """
        async with self.database.transaction() as session:
            secret, value = await secrets.opened(session, self.sealer, row.user_id, reference)
        if is_sent and not may_reach(secret.hosts, _host(value)):
            raise SecretUnusableError(
                f"The secret {secret.name!r} names no address whose host is among its hosts."
            )
        return value


def _signing_key(value: str) -> bytes:
    """The bytes of a symmetric key; the library would take what it can read of any word."""
    try:
        key = base64.b64decode(value.removeprefix(KEY_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key or not value.startswith(KEY_PREFIX):
        raise SecretUnusableError(NO_SIGNING_KEY)
    return key


def _host(url: str) -> str:
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL:
        return ""


def _judged(said: Answer) -> Tried:
    excerpt = said.body[:EXCERPT].decode("utf-8", "replace") or None
    if is_success(said.status):
        return Tried(status_code=said.status, excerpt=excerpt)
    return Tried(
        error=f"The receiver answered {said.status}.",
        is_final=is_final(said.status),
        status_code=said.status,
        excerpt=excerpt,
        retry_after_seconds=_retry_after(said.headers.get("retry-after")),
    )


def _retry_after(value: str | None) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3); None for what is neither, as `nan`."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return seconds if math.isfinite(seconds) else None
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()
