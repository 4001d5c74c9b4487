"""The settings of notification tests, a mail server, and what was delivered and recorded."""

import base64
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select
from standardwebhooks import Webhook

from persistence.definitions import secrets
from persistence.notifications import queries
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow
from runtime.secret_box import SecretBox
from tests.engine.driver import Engine
from tests.runtime.receiver import Receiver
from tests.waiting import eventually

KEY = "a key of the tests that is long enough"
SIGNING_KEY = "whsec_" + base64.b64encode(b"s" * 32).decode()
CANARY = "yellow-canary-51ee"
SETTINGS: dict[str, Any] = {
    "secrets_key": KEY,
    "outbound_allow": ("127.0.0.1",),
    "slack_signing_secret": "a signing secret",
}


class Mailbox:
    """The mail that the server accepted; it refuses `unknown@…`."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[bytes] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        if address.startswith("unknown@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 kept"


async def keep(engine: Engine, name: str, value: str, *hosts: str) -> None:
    async with engine.database.transaction() as session:
        await secrets.put(
            session, SecretBox(KEY), engine.user_id, name, value, hosts=hosts, tools=()
        )


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A configuration with one signed webhook."""
    url = f"http://127.0.0.1:{receiver.port}/in"
    return {"webhooks": [{"url": url, "secret_ref": "secret://signing", **more}]}


async def notifications_of(engine: Engine, execution_id: UUID) -> Sequence[NotificationRow]:
    async with engine.database.reading() as session:
        rows = await session.scalars(
            select(NotificationRow)
            .where(NotificationRow.execution_id == execution_id)
            .order_by(NotificationRow.id)
        )
        return rows.all()


async def attempts_of(engine: Engine, notification_id: UUID) -> Sequence[NotificationAttemptRow]:
    async with engine.database.reading() as session:
        return await queries.list_attempts(session, notification_id)


async def wait_until_over(engine: Engine, execution_id: UUID) -> NotificationRow:
    """Return the only notification of an execution after its delivery or failure."""

    async def is_over() -> NotificationRow | None:
        rows = await notifications_of(engine, execution_id)
        return rows[-1] if rows and rows[-1].status != "pending" else None

    return await eventually(is_over, what="the end of a delivery")


def verify_messages(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the messages that the receiver got, verified as Standard Webhooks requires."""
    return [Webhook(SIGNING_KEY).verify(got.body, got.headers) for got in receiver.received]
