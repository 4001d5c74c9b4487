"""Send mail through the SMTP server of the operator; workers use it for notifications."""

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
"""Limit of a whole delivery: some servers delay their greeting (chosen)."""

SUBMISSION_PORT, SMTPS_PORT = 587, 465
"""RFC 6409 and RFC 8314."""

_PERMANENT = 500
"""Replies from here on are permanent failures; smaller ones are temporary (RFC 5321, 4.2.1)."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one address. Every attempt uses the same `message_id`."""

    to: str
    subject: str
    text: str
    html: str
    message_id: str


class MailRefusedError(OutboundError):
    """The server permanently refuses this message for this address."""

    code = "mail_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """An SMTP server. With a password or `smtps`, it sends nothing without TLS."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    uses_implicit_tls: bool = False

    @classmethod
    def from_url(cls, url: str | None, sender: str | None) -> Self | None:
        """Return a mailer for PERDURE_SMTP_URL and PERDURE_SMTP_FROM, or None without the first.

        The settings have validated `url`.
        """
        if not url:
            return None
        parts = urlsplit(url)
        host = parts.hostname or ""
        user = unquote(parts.username) if parts.username else None
        default_sender = user if user and "@" in user else f"perdure@{host}"
        uses_implicit_tls = parts.scheme == "smtps"
        return cls(
            host=host,
            port=parts.port or (SMTPS_PORT if uses_implicit_tls else SUBMISSION_PORT),
            sender=sender or default_sender,
            user=user,
            password=unquote(parts.password) if parts.password else None,
            uses_implicit_tls=uses_implicit_tls,
        )

    async def send(self, mail: Mail) -> str:
        """Send the mail and return the reply of the server.

        Raises:
            MailRefusedError: the server refuses this message permanently.
            OutboundError: the server was not reached, or refuses the message temporarily.
        """
        try:
            async with asyncio.timeout(TIMEOUT.total_seconds()):
                _, reply = await aiosmtplib.send(
                    self._message(mail),
                    hostname=self.host,
                    port=self.port,
                    username=self.user,
                    password=self.password,
                    use_tls=self.uses_implicit_tls,
                    start_tls=self._start_tls,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise _refusal(refused.code, refused.message) from error
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused) as error:
            raise _refusal(error.code, error.message) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # Also a wrong password: after an operator corrects it, a retry succeeds.
            raise OutboundError(
                f"The mail server did not accept the mail ({type(error).__name__})."
            ) from error
        return reply

    @property
    def _start_tls(self) -> bool | None:
        """Require STARTTLS for a password; otherwise (None) use it if the server offers it."""
        if self.uses_implicit_tls:
            return False
        return True if self.password and self.host not in _LOOPBACK else None

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self.sender, mail.to
        message["Subject"] = " ".join(mail.subject.split())
        message["Date"] = formatdate()
        message["Message-ID"] = mail.message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks for no automatic replies
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _refusal(code: int, reply: str) -> OutboundError:
    kind = MailRefusedError if code >= _PERMANENT else OutboundError
    return kind(f"The mail server answered: {code} {reply:.200}")
