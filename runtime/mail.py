"""Sends mail through the operator's SMTP server; workers use it for notifications."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from domain.errors import OutboundError

TIMEOUT = timedelta(seconds=30)
"""Of a whole delivery: some servers take their time before they greet (chosen)."""

SUBMISSION_PORT, SMTPS_PORT = 587, 465
"""RFC 6409 and RFC 8314."""

_PERMANENT = 500
"""From here on a reply says never, below it says later (RFC 5321, section 4.2.1)."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one address; `message_id` stays the same in every try."""

    to: str
    subject: str
    text: str
    html: str
    message_id: str


class MailRefusedError(OutboundError):
    """The server will not take this message for this address, now or later."""

    code = "mail_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Where mail goes. With a password, or where asked for, nothing goes without TLS."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    is_tls_at_once: bool = False

    @classmethod
    def maybe(cls, url: str | None, sender: str | None) -> Self | None:
        """A mailer by the settings PERDURE_SMTP_URL and PERDURE_SMTP_FROM; None without the first.

        `url` has been checked with the settings.
        """
        if not url:
            return None
        parts = urlsplit(url)
        host = parts.hostname or ""
        user = unquote(parts.username) if parts.username else None
        own = user if user and "@" in user else f"perdure@{host}"
        at_once = parts.scheme == "smtps"
        return cls(
            host=host,
            port=parts.port or (SMTPS_PORT if at_once else SUBMISSION_PORT),
            sender=sender or own,
            user=user,
            password=unquote(parts.password) if parts.password else None,
            is_tls_at_once=at_once,
        )

    async def send(self, mail: Mail) -> str:
        """Hand the mail to the server; its reply.

        Raises:
            MailRefusedError: it refuses this message for good.
            OutboundError: it was not reached, or says later.
        """
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                _, reply = await aiosmtplib.send(
                    self._message(mail),
                    hostname=self.host,
                    port=self.port,
                    username=self.user,
                    password=self.password,
                    use_tls=self.is_tls_at_once,
                    start_tls=self._start_tls,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise _told(refused.code, refused.message) from error
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused) as error:
            raise _told(error.code, error.message) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # A wrong password too: an operator mends it, and the mail is still wanted then.
            raise OutboundError(
                f"The mail server took nothing ({type(error).__name__})."
            ) from error
        return reply

    @property
    def _start_tls(self) -> bool | None:
        """STARTTLS: demanded where a password would go without, else taken where it is offered."""
        if self.is_tls_at_once:
            return False
        return True if self.password and self.host not in _LOOPBACK else None

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self.sender, mail.to
        message["Subject"] = " ".join(mail.subject.split())
        message["Date"] = formatdate()
        message["Message-ID"] = mail.message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notes in reply
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _told(code: int, reply: str) -> OutboundError:
    kind = MailRefusedError if code >= _PERMANENT else OutboundError
    return kind(f"The mail server said {code} {reply:.200}")
