"""Send a notification: one method for each kind. Every failure becomes an outcome."""

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
from activities.message_links import MessageLinks
from domain.errors import (
    AddressRefusedError,
    OutboundError,
    SecretsNotConfiguredError,
    SecretUnusableError,
)
from domain.people.notifications import Kind, is_final, is_success
from domain.secrets import decode_signing_key, may_reach
from persistence.db.database import Database
from persistence.definitions import secrets
from persistence.definitions.secrets import SecretSealer
from persistence.notifications.deliveries import EXCERPT, AttemptResult, DeliveryAttempt
from persistence.tables.ledger import NotificationRow
from runtime.mail import Mailer, MailRefusedError
from runtime.outbound import Answer, Outbound

log = structlog.get_logger(__name__)

FINAL = (AddressRefusedError, MailRefusedError, SecretUnusableError, SecretsNotConfiguredError)
"""Errors that a retry can't fix: a person has to change something and request a redelivery."""

NO_MAILER = "No mail server is configured. Ask an operator to set PERDURE_SMTP_URL."


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends notifications by webhook, mail and Slack."""

    database: Database
    outbound: Outbound
    secret_box: SecretSealer
    mailer: Mailer | None
    links: MessageLinks

    async def send(self, attempt: DeliveryAttempt) -> AttemptResult:
        """Make a recorded attempt, whose notification has its payload. Never raises."""
        row = attempt.notification
        send = {
            Kind.WEBHOOK: self._send_webhook,
            Kind.EMAIL: self._send_mail,
            Kind.SLACK: self._send_to_slack,
        }[Kind(row.kind)]
        try:
            return await send(row, row.payload or {})
        except FINAL as error:
            return AttemptResult(error=error.detail, is_final=True)
        except OutboundError as error:
            return AttemptResult(error=error.detail)
        except Exception as error:  # noqa: BLE001 - the edge: a bug of ours fails the attempt too
            log.error("notification.send_failed", error=type(error).__name__, id=str(row.id))  # noqa: TRY400 - a text may show content
            return AttemptResult(error=f"An unexpected error occurred ({type(error).__name__}).")

    async def _send_webhook(
        self, row: NotificationRow, payload: Mapping[str, Any]
    ) -> AttemptResult:
        body = json.dumps(payload)
        return await self._post(row.target["url"], body, await self._sign(row, body))

    async def _post(
        self, url: str, body: str, headers: Mapping[str, str] | None = None
    ) -> AttemptResult:
        response = await self.outbound.send(
            "POST",
            url,
            headers={"content-type": "application/json", **(headers or {})},
            content=body.encode(),
        )
        return make_outcome(response)

    async def _sign(self, row: NotificationRow, body: str) -> Mapping[str, str]:
        """Return the headers of Standard Webhooks, signed if the target names a key."""
        now, message_id = datetime.now(UTC), str(row.message_id)
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp()))}
        reference = row.target.get("secret_ref")
        if reference is None:
            return headers
        key = decode_signing_key(await self._open_secret(row, reference))
        return {**headers, "webhook-signature": Webhook(key).sign(message_id, now, body)}

    async def _send_to_slack(
        self, row: NotificationRow, payload: Mapping[str, Any]
    ) -> AttemptResult:
        url, reference = row.target.get("url"), row.target.get("secret_ref")
        if url is None:
            url = await self._open_secret(row, reference or "", is_url=True)
        ways = await self.links.find_ways(row)
        message = messages.make_slack_message(payload, self.links.public_url, ways)
        return await self._post(url, json.dumps(message))

    async def _send_mail(self, row: NotificationRow, payload: Mapping[str, Any]) -> AttemptResult:
        if self.mailer is None:
            return AttemptResult(error=NO_MAILER, is_final=True)
        ways = await self.links.find_ways(row)
        address, message_id = row.target["to"], str(row.message_id)
        mail = messages.make_mail(payload, address, message_id, self.links.public_url, ways)
        return AttemptResult(excerpt=await self.mailer.send(mail))

    async def _open_secret(
        self, row: NotificationRow, reference: str, *, is_url: bool = False
    ) -> str:
        """Return the value of a secret of the execution's user.

        If `is_url`, the value leaves this process as an address, so the secret must allow its host.
        """
        async with self.database.transaction() as session:
            secret, value = await secrets.decrypt(session, self.secret_box, row.user_id, reference)
        if is_url and not may_reach(secret.hosts, _host(value)):
            raise SecretUnusableError(
                f"The secret {secret.name!r} must hold a URL whose host is among its hosts."
            )
        return value


def _host(url: str) -> str:
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL:
        return ""


def make_outcome(response: Answer) -> AttemptResult:
    """Return the outcome of an attempt that got this response."""
    excerpt = response.body[:EXCERPT].decode("utf-8", "replace") or None
    if is_success(response.status):
        return AttemptResult(status_code=response.status, excerpt=excerpt)
    return AttemptResult(
        error=f"The receiver answered {response.status}.",
        is_final=is_final(response.status),
        status_code=response.status,
        excerpt=excerpt,
        retry_after_seconds=_parse_retry_after(response.headers.get("retry-after")),
    )


def _parse_retry_after(value: str | None) -> float | None:
    """Parse seconds or a date (RFC 9110, section 10.2.3). Return None for any other value."""
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
