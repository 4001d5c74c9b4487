"""Notifications end to end: a real worker, a real receiver that verifies, a real mail server."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select, text
from standardwebhooks import Webhook
from temporalio.client import WorkflowFailureError

from claude.scripted import ScriptedModelServer
from cli.stack.addresses import free_port
from contracts.names import notification_workflow_id
from domain.notifications import Kind
from domain.states import ExecutionStatus
from persistence.definitions import secrets
from persistence.notifications import queries
from persistence.notifications.deliveries import NEXT_LOOK
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow
from runtime.secret_box import SecretBox
from tests.engine.driver import Engine, script, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker, worker_process
from tests.runtime.receiver import Receiver, answer, receiving
from tests.waiting import WITHIN_SECONDS, eventually

WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WAIT = text(f"SELECT pid {WAITING}")
BREAK = text(f"SELECT pg_terminate_backend(pid, 10000) {WAITING}")
KEY = "a key of the tests that is long enough"
SIGNING_KEY = "whsec_" + base64.b64encode(b"s" * 32).decode()
CANARY = "yellow-canary-51ee"
PUBLIC = "https://perdure.example"
SETTINGS: dict[str, Any] = {
    "secrets_key": KEY,
    "outbound_allow": ("127.0.0.1",),
    "public_url": PUBLIC,
}
ASKS = {"tool_use": use("ask_user", question="Which colour?", options=["red", "blue"])}


@pytest.fixture(scope="module")
async def place(
    module_database_url: str, temporal_address: str, servers_directory: Any
) -> WorkerPlace:
    home = servers_directory / f"notifying-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(module_database_url, temporal_address, home)


@pytest.fixture(scope="module")
async def idle(place: WorkerPlace, scripted_model: ScriptedModelServer) -> AsyncIterator[Engine]:
    """A driver, with a signing key and an address kept as secrets, and no worker."""
    async with open_driver(place, scripted_model) as engine:
        await keep(engine, "signing", SIGNING_KEY)
        yield engine


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator["Mailbox"]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), ready_timeout=60)
    controller.start()
    box.port = controller.port
    yield box
    controller.stop()


@pytest.fixture
async def engine(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer, mailbox: "Mailbox"
) -> AsyncIterator[Engine]:
    mail = {"smtp_url": f"smtp://127.0.0.1:{mailbox.port}", "smtp_from": "Perdure <p@example.com>"}
    async with run_worker(place, scripted_model, **SETTINGS, **mail):
        yield idle


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


async def over(engine: Engine, execution_id: UUID) -> NotificationRow:
    """Return the only notification of an execution after its delivery or failure."""

    async def is_over() -> NotificationRow | None:
        rows = await notifications_of(engine, execution_id)
        return rows[-1] if rows and rows[-1].status != "pending" else None

    row = await eventually(is_over, what="the end of a delivery")
    assert row is not None
    return row


def verified(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the messages that the receiver got, verified as Standard Webhooks requires."""
    return [Webhook(SIGNING_KEY).verify(got.body, got.headers) for got in receiver.received]


async def test_an_end_is_sent_signed_and_recorded(engine: Engine) -> None:
    async with receiving(answer(200, b"thanks")) as receiver:
        run = await engine.start(
            {"text": f"The result {CANARY}."}, columns={"notification_config": hook(receiver)}
        )
        await run.wait_for_end()
        row = await over(engine, run.id)
    [message] = verified(receiver)
    [got] = receiver.received
    assert got.headers["webhook-id"] == str(row.message_id) == str(row.id)
    assert (message["type"], message["version"]) == ("execution.completed", 1)
    data = message["data"]
    assert (data["execution_id"], data["status"]) == (str(run.id), "completed")
    assert data["result"] == {"text": f"The result {CANARY}.", "is_cut": False}
    assert data["links"]["execution"] == f"{PUBLIC}/api/v1/task-executions/{run.id}"
    events = {event.seq: event for event in await run.events()}
    assert events[row.event_seq or 0].type == "execution.completed"
    assert (row.status, row.attempts, row.error, row.payload) == ("delivered", 1, None, message)
    [attempt] = await attempts_of(engine, row.id)
    assert (attempt.status_code, attempt.excerpt, attempt.error) == (200, "thanks", None)
    assert attempt.duration_ms is not None

    handle = engine.client.get_workflow_handle(notification_workflow_id(row.id))
    await handle.result()
    history = str(await handle.fetch_history())
    description = str((await handle.describe()).raw_description)
    for secret in (CANARY, SIGNING_KEY, str(receiver.port), "thanks"):
        assert secret not in history + description
    assert str(engine.user_id) in description


async def test_a_busy_receiver_gets_the_same_message_later(engine: Engine) -> None:
    async with receiving(answer(503, b"busy", Retry_After="1"), answer(204)) as receiver:
        run = await engine.start({"text": "x"}, columns={"notification_config": hook(receiver)})
        row = await over(engine, run.id)
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert len(verified(receiver)) == 2
    assert (row.status, row.attempts) == ("delivered", 2)
    failed, delivered = await attempts_of(engine, row.id)
    assert (failed.status_code, failed.excerpt) == (503, "busy")
    assert failed.error == "The receiver answered 503."
    assert (delivered.status_code, delivered.error) == (204, None)
    assert (delivered.started_at - failed.started_at).total_seconds() >= 5


async def test_a_refusal_is_final_and_can_be_redelivered(engine: Engine) -> None:
    async with receiving(answer(410, b"gone"), answer(204)) as receiver:
        run = await engine.start({"text": "x"}, columns={"notification_config": hook(receiver)})
        row = await over(engine, run.id)
        assert (row.status, row.attempts) == ("failed", 1)
        assert row.error == "The receiver answered 410."
        handle = engine.client.get_workflow_handle(notification_workflow_id(row.id))
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        async with engine.database.transaction() as session:
            again = await queries.redeliver(session, row)
        last = await over(engine, run.id)
    assert (last.id, last.status, last.message_id) == (again.id, "delivered", row.id)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(row.id)
    assert first.body == second.body


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({"url": "http://127.0.0.2:9000/"}, "127.0.0.2 is not a public address"),
        ({"url": "http://127.0.0.1:9000/", "secret_ref": "absent"}, "no secret 'absent'"),
        ({"url": "http://127.0.0.1:9000/", "secret_ref": "no-key"}, "is not a signing key"),
    ],
)
async def test_an_error_that_a_retry_cannot_fix_is_final(
    engine: Engine, target: dict[str, Any], error: str
) -> None:
    await keep(engine, "no-key", "plain word")
    async with engine.database.transaction() as session:
        row = await queries.create_test(session, engine.user_id, Kind.WEBHOOK, target)

    async def is_over() -> NotificationRow | None:
        async with engine.database.reading() as session:
            now = await session.get_one(NotificationRow, row.id)
            return now if now.status != "pending" else None

    ended = await eventually(is_over)
    assert ended is not None
    assert (ended.status, ended.attempts) == ("failed", 1)
    assert error in (ended.error or "")


async def test_a_request_reaches_mail_and_slack(engine: Engine, mailbox: Mailbox) -> None:
    async with receiving(answer(200, b"ok")) as receiver:
        await keep(engine, "slack", f"http://127.0.0.1:{receiver.port}/T/B/x", "127.0.0.1")
        await keep(engine, "slack-elsewhere", f"http://127.0.0.1:{receiver.port}/", "example.com")
        run = await engine.start(
            ASKS,
            {"text": "Thanks."},
            allowed_tools=["ask_user"],
            columns={
                "notification_config": {
                    "email": ["ada@example.com", {"to": "unknown@example.com"}],
                    "slack": [
                        {"secret_ref": "secret://slack", "events": ["input.requested"]},
                        {"secret_ref": "slack-elsewhere", "events": ["input.requested"]},
                    ],
                }
            },
        )
        request = await run.wait_for_request()

        async def all_over() -> bool:
            rows = await notifications_of(engine, run.id)
            return len(rows) == 4 and all(row.status != "pending" for row in rows)

        await eventually(all_over)
        ends = {
            (r.kind, r.position): (r.status, r.error)
            for r in await notifications_of(engine, run.id)
        }
        await run.answer(request, message="red")
        await run.wait_for_end()
    assert ends["email", 1] == ("delivered", None)
    assert ends["email", 2][0] == "failed"
    assert "550" in (ends["email", 2][1] or "")
    assert ends["slack", 1] == ("delivered", None)
    assert "among its hosts" in (ends["slack", 2][1] or "")
    [got] = receiver.received
    sent = json.loads(got.body)
    assert "needs your input" in sent["text"]
    assert "Which colour?" in json.dumps(sent["blocks"])
    assert f"{PUBLIC}/api/v1/input-requests/{request.id}" in json.dumps(sent["blocks"])
    mail = message_from_bytes(mailbox.mails[0], policy=policy.default)
    assert (mail["To"], mail["From"]) == ("ada@example.com", "Perdure <p@example.com>")
    assert "needs your input" in str(mail["Subject"])
    plain = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "Which colour?" in plain.get_content()
    assert f'href="{PUBLIC}/api/v1/input-requests/{request.id}"' in html.get_content()


async def test_a_subtask_notifies_only_of_its_requests(engine: Engine) -> None:
    async with receiving() as receiver:
        child = use("delegate", title="child", prompt=script(ASKS, {"text": "done"}))
        run = await engine.start(
            {"tool_use": child},
            {"text": "done"},
            allowed_tools=["delegate", "ask_user"],
            notification_config=hook(receiver),
            columns={"notification_config": hook(receiver)},
        )

        async def is_requested() -> bool:
            return bool(receiver.received)

        await eventually(is_requested)
        [asking] = await run.children()
        await asking.answer(await asking.wait_for_request(), message="red")
        await run.wait_for_end()
        await over(engine, run.id)
    assert [message["type"] for message in verified(receiver)] == [
        "input.requested",
        "execution.completed",
    ]
    assert [row.type for row in await notifications_of(engine, asking.id)] == ["input.requested"]


async def test_without_configuration_there_is_no_notification(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "x"})
    assert await notifications_of(engine, run.id) == []


@asynccontextmanager
async def killed_worker(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker as it is deployed, which the block kills."""
    more = {
        "PERDURE_SECRETS_KEY": KEY,
        "PERDURE_OUTBOUND_ALLOW": "127.0.0.1",
    }
    log = place.home / f"log-{os.urandom(4).hex()}"
    async with worker_process(place, scripted_model, log=log, more=more) as process:
        yield process
        await kill(process)
        (place.home / "ready").unlink()
    assert KEY not in log.read_text()
    assert SIGNING_KEY not in log.read_text()


async def kill(process: asyncio.subprocess.Process) -> None:
    """End a worker, if it lives."""
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_a_worker_that_dies_in_a_try_delivers_again_with_the_same_id(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving() as receiver:
        receiver.may_answer.clear()
        async with killed_worker(place, scripted_model):
            run = await idle.start({"text": "x"}, columns={"notification_config": hook(receiver)})
            await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
        receiver.may_answer.set()
        async with run_worker(place, scripted_model, **SETTINGS):
            row = await over(idle, run.id)
    assert (row.status, row.attempts) == ("delivered", 2)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert len(verified(receiver)) == 2
    lost, taken = await attempts_of(idle, row.id)
    assert (lost.duration_ms, lost.error) == (None, None)
    assert taken.status_code == 204


async def test_an_unrecorded_delivery_is_repeated(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving() as receiver:
        receiver.may_answer.clear()
        async with killed_worker(place, scripted_model) as worker:
            run = await idle.start({"text": "x"}, columns={"notification_config": hook(receiver)})
            await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
            async with idle.database.transaction() as session:
                # Its end can't be written while this lock is held; both are gone before it.
                rows = select(NotificationRow).where(NotificationRow.execution_id == run.id)
                await session.execute(rows.with_for_update())
                receiver.may_answer.set()

                async def answered() -> bool:
                    return all(task.done() for task in receiver.served)

                await eventually(answered)
                await eventually(lambda: idle.database.raw.run(WAIT, {}), what="its end")
                await kill(worker)
                await idle.database.raw.run(BREAK, {})
        async with run_worker(place, scripted_model, **SETTINGS):
            row = await over(idle, run.id)
    assert (row.status, row.attempts) == ("delivered", 2)
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert len(receiver.received) == 2


async def test_the_next_worker_starts_pending_deliveries(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving() as receiver:
        target = hook(receiver)["webhooks"][0]
        async with idle.database.transaction() as session:
            row = await queries.create_test(session, idle.user_id, Kind.WEBHOOK, target)
        async with run_worker(place, scripted_model, **SETTINGS):
            await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
    [message] = verified(receiver)
    assert message["type"] == "notification.test"
    assert receiver.received[0].headers["webhook-id"] == str(row.id)


async def test_a_delivery_that_was_ended_in_temporal_is_given_up(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving(answer(503)) as receiver, run_worker(place, scripted_model, **SETTINGS):
        run = await idle.start({"text": "x"}, columns={"notification_config": hook(receiver)})
        await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
        row = await known_to_be_under_way(idle, run.id)
        handle = idle.client.get_workflow_handle(notification_workflow_id(row.id))
        await handle.terminate()
        async with idle.database.transaction() as session:
            # An hour later.
            now = await session.get_one(NotificationRow, row.id)
            now.start_at = now.created_at
        ended = await over(idle, run.id)
    assert ended.status == "failed"
    assert ended.error == "The delivery's workflow was ended in Temporal."
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def known_to_be_under_way(engine: Engine, execution_id: UUID) -> NotificationRow:
    """The execution's notification, when the relay has noted that Temporal has it."""

    async def noted() -> NotificationRow | None:
        [row] = await notifications_of(engine, execution_id)
        later = row.created_at + NEXT_LOOK / 2
        return row if row.start_at is not None and row.start_at > later else None

    row = await eventually(noted)
    assert row is not None
    return row
