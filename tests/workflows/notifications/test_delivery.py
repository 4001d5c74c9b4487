"""Notifications end to end: a real worker, a real receiver that verifies, a real mail server."""

import json
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowFailureError

from contracts.names import notification_workflow_id
from domain.people.notifications import Kind
from persistence.notifications import queries
from persistence.tables.ledger import NotificationRow
from runtime.secret_box import SecretBox
from services.executions.answer_links import AnswerLink
from services.executions.slack_buttons import ButtonMeaning
from tests.engine.driver import Engine, script, use
from tests.runtime.receiver import answer, receiving
from tests.waiting import eventually
from tests.workflows.notifications.deliveries import (
    CANARY,
    KEY,
    SIGNING_KEY,
    Mailbox,
    attempts_of,
    hook,
    keep,
    notifications_of,
    verify_messages,
    wait_until_over,
)

ASKS = {"tool_use": use("ask_user", question="Which colour?", options=["red", "blue"])}


async def test_an_end_is_sent_signed_and_recorded(engine: Engine) -> None:
    async with receiving(answer(200, b"thanks")) as receiver:
        run = await engine.start(
            {"text": f"The result {CANARY}."}, columns={"notification_config": hook(receiver)}
        )
        await run.wait_for_end()
        row = await wait_until_over(engine, run.id)
    [message] = verify_messages(receiver)
    [got] = receiver.received
    assert got.headers["webhook-id"] == str(row.message_id) == str(row.id)
    assert (message["type"], message["version"]) == ("execution.completed", 1)
    data = message["data"]
    assert (data["execution_id"], data["status"]) == (str(run.id), "completed")
    assert data["result"] == {"text": f"The result {CANARY}.", "is_cut": False}
    assert data["links"]["execution"] == f"/api/v1/task-executions/{run.id}"
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
        row = await wait_until_over(engine, run.id)
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert len(verify_messages(receiver)) == 2
    assert (row.status, row.attempts) == ("delivered", 2)
    failed, delivered = await attempts_of(engine, row.id)
    assert (failed.status_code, failed.excerpt) == (503, "busy")
    assert failed.error == "The receiver answered 503."
    assert (delivered.status_code, delivered.error) == (204, None)
    assert (delivered.started_at - failed.started_at).total_seconds() >= 5


async def test_a_refusal_is_final_and_can_be_redelivered(engine: Engine) -> None:
    async with receiving(answer(410, b"gone"), answer(204)) as receiver:
        run = await engine.start({"text": "x"}, columns={"notification_config": hook(receiver)})
        row = await wait_until_over(engine, run.id)
        assert (row.status, row.attempts) == ("failed", 1)
        assert row.error == "The receiver answered 410."
        handle = engine.client.get_workflow_handle(notification_workflow_id(row.id))
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        async with engine.database.transaction() as session:
            again = await queries.redeliver(session, row)
        last = await wait_until_over(engine, run.id)
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
    assert "needs your input" in json.loads(got.body)["text"]
    require_instructions(got.body.decode(), request.id)
    require_mail(message_from_bytes(mailbox.mails[0], policy=policy.default), request.id)


def require_mail(mail: EmailMessage, request_id: UUID) -> None:
    """The mail has both bodies, and both say how to answer."""
    assert (mail["To"], mail["From"]) == ("ada@example.com", "Perdure <p@example.com>")
    assert "needs your input" in str(mail["Subject"])
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        require_instructions(body.get_content(), request_id)
        assert "href" not in body.get_content()


def require_instructions(text: str, request_id: UUID) -> None:
    """The question, the command that answers it, and the page of the request as the only link."""
    page = f"https://perdure.example.com/inbox/{request_id}"
    assert "Which colour?" in text
    assert f"perdure inbox answer {request_id}" in text
    assert text.count("http") == text.count(page) == 1


async def test_links_and_buttons_reach_those_who_may_answer(
    engine: Engine, mailbox: Mailbox
) -> None:
    """The link is in the message only: the owner of a task reads its stored notifications."""
    async with receiving(answer(200, b"ok")) as receiver:
        slack = {"url": f"http://127.0.0.1:{receiver.port}/T", "has_buttons": True}
        run = await engine.start(
            {"tool_use": use("bash", command="ls")},
            {"text": "Thanks."},
            allowed_tools=["bash"],
            ask_tools=["bash"],
            columns={
                "notification_config": {
                    "email": [{"to": "me@example.com", "has_answer_links": True}],
                    "slack": [{**slack, "has_answer_links": True}],
                }
            },
        )
        request = await run.wait_for_request()

        async def is_over() -> bool:
            rows = await notifications_of(engine, run.id)
            return len(rows) == 2 and all(row.status == "delivered" for row in rows)

        await eventually(is_over)
        payloads = str([row.payload for row in await notifications_of(engine, run.id)])
        mail = message_from_bytes(mailbox.mails[-1], policy=policy.default)
        [got] = receiver.received  # before the end, which is notified of too
        await run.answer(request, decision="deny")
        await run.wait_for_end()
    plain = mail.get_body(("plain",))
    assert plain is not None
    sealed = [
        re.search(r"https://perdure.example.com/answer/([\w-]+)", text)
        for text in (plain.get_content(), got.body.decode())
    ]
    box = SecretBox(KEY)
    links = [AnswerLink.open(box, found[1]) for found in sealed if found]
    assert [(link.request_id, link.user_id) for link in links] == [(request.id, engine.user_id)] * 2
    assert "/answer/" not in payloads
    *_, shown, actions = json.loads(got.body)["blocks"]
    assert json.loads(shown["text"]["text"]) == {"command": "ls"}
    meanings = [ButtonMeaning.open(box, b["value"]) for b in actions["elements"]]
    assert [(meaning.request_id, meaning.decision) for meaning in meanings] == [
        (request.id, "approve"),
        (request.id, "deny"),
    ]


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
        await wait_until_over(engine, run.id)
    assert [message["type"] for message in verify_messages(receiver)] == [
        "input.requested",
        "execution.completed",
    ]
    assert [row.type for row in await notifications_of(engine, asking.id)] == ["input.requested"]


async def test_without_configuration_there_is_no_notification(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "x"})
    assert await notifications_of(engine, run.id) == []
