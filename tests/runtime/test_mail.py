"""Mail through a real SMTP server on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr, ValidationError

from cli.stack.addresses import free_port
from domain.errors import OutboundError
from runtime.mail import Mail, Mailer, MailRefusedError
from runtime.settings import Settings

MAIL = Mail(
    to="ada@example.com",
    subject="A task\nwas done",
    text="Done & <well>.\n",
    html="<p>Done &amp; &lt;well&gt;.</p>",
    message_id="<one@perdure>",
)


class Box:
    """The mailbox of a server, and the passwords that clients sent."""

    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.mails: list[bytes] = []
        self.passwords: list[bytes] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return self.refusal or "250 kept"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _: str, given: object
    ) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.passwords.append(given.password)
        return AuthResult(success=True)


@contextmanager
def serve_app(box: Box, host: str = "127.0.0.1") -> Iterator[int]:
    controller = Controller(
        box, hostname=host, port=free_port(), authenticator=box.authenticate,
        auth_require_tls=False, ready_timeout=60,
    )  # fmt: skip
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mailer(url: str, sender: str | None = None) -> Mailer:
    found = Mailer.from_url(url, sender)
    assert found is not None
    return found


async def test_a_mail_arrives_with_both_its_forms() -> None:
    box = Box()
    with serve_app(box) as port:
        reply = await mailer(f"smtp://127.0.0.1:{port}", "Perdure <p@example.com>").send(MAIL)
    assert reply == "kept"
    [mail] = box.mails
    assert b"Subject: A task was done" in mail
    assert b"Message-ID: <one@perdure>" in mail
    assert b"From: Perdure <p@example.com>" in mail
    assert b"Done & <well>." in mail
    assert b"&lt;well&gt;" in mail


async def test_permanent_and_temporary_refusals_differ() -> None:
    with (
        serve_app(Box("554 no such thing here")) as port,
        pytest.raises(MailRefusedError, match="554"),
    ):
        await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
    with serve_app(Box("451 later")) as port, pytest.raises(OutboundError, match="451") as caught:
        await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
    assert not isinstance(caught.value, MailRefusedError)
    with pytest.raises(OutboundError):
        await mailer(f"smtp://127.0.0.1:{free_port()}").send(MAIL)


async def test_a_password_goes_to_no_other_machine_without_tls() -> None:
    box = Box()
    with serve_app(box, "127.0.0.2") as port, pytest.raises(OutboundError):
        await mailer(f"smtp://me:hidden@127.0.0.2:{port}").send(MAIL)
    assert (box.passwords, box.mails) == ([], [])
    with serve_app(box) as port:
        await mailer(f"smtp://me:hidden%21@127.0.0.1:{port}").send(MAIL)
    assert box.passwords == [b"hidden!"]


@pytest.mark.parametrize(
    ("url", "host", "port", "sender", "at_once"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "perdure@mail.example.com", False),
        ("smtps://me%40example.com:x@mail.example.com", "mail.example.com", 465, "me@example.com",
         True),
        ("smtp://me:x@[::1]:2525", "::1", 2525, "perdure@::1", False),
    ],
)  # fmt: skip
def test_mailer_from_url(url: str, host: str, port: int, sender: str, *, at_once: bool) -> None:
    found = mailer(url)
    assert (found.host, found.port, found.sender) == (host, port, sender)
    assert found.uses_implicit_tls is at_once


def test_without_an_address_there_is_no_mailer() -> None:
    assert Mailer.from_url(None, "p@example.com") is None
    assert Mailer.from_url("", None) is None


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://"])
def test_settings_refuse_what_is_no_address_and_do_not_repeat_it(url: str) -> None:
    with pytest.raises(ValidationError, match="use a URL such as"):
        Settings(smtp_url=SecretStr(url))
