"""The page of a request, as a browser uses it without scripts."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from persistence.tables.executions import ExecutionRow
from tests.api.browsing import (
    API,
    CSRF,
    Client,
    alice,
    new_request,
    read_input,
    read_request,
    sign_in,
    submit,
    words,
)
from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task

__all__ = ["alice"]


async def test_a_person_sees_what_is_asked_and_approves_it(world: World, alice: Client) -> None:
    path = await new_request(world, **APPROVAL, body="The task asks before this tool.")
    opened = await alice.get(path)
    text = words(opened)
    for expected in ("Run bash?", "The task asks before", "git push", "Cost so far $0.00 of $0.25"):
        assert expected in text
    assert "The call runs with exactly this input." in text
    answered = await submit(alice, path, decision="approve", message="", **read_input(opened))
    assert (answered.status_code, answered.headers["location"]) == (303, path)
    request = await read_request(world, path)
    assert (request["status"], request["answer"]) == ("answered", {"decision": "approve"})
    after = words(await alice.get(path))
    assert "Answered by alice" in after
    assert "The call runs with the input below." in after
    assert f'action="{path}"' not in (await alice.get(path)).text


async def test_the_text_in_the_forms_of_a_session_is_no_token(world: World, alice: Client) -> None:
    csrf = CSRF.search((await alice.get("/inbox")).text)
    assert csrf
    headers = {"Authorization": f"Bearer session {csrf[1]}"}
    async with Client(base_url=world.url) as anyone:
        assert (await anyone.get(f"{API}/me", headers=headers)).status_code == 401


async def test_a_later_answer_sees_who_was_first_and_keeps_its_text(
    world: World, alice: Client
) -> None:
    path = await new_request(world, assignee="boss")
    boss = await sign_in(world, "boss")
    csrf = CSRF.search((await boss.get(path)).text)
    assert csrf
    assert (await submit(alice, path, decision="approve", message="Red.")).status_code == 303
    late = {"csrf": csrf[1], "decision": "approve", "message": "My long answer."}
    response = await boss.post(path, data=late)
    assert response.status_code == 409
    for expected in ("Answered by alice", "Red.", "My long answer.", "Your answer was not stored"):
        assert expected in words(response)
    await boss.aclose()


async def test_of_many_answers_one_counts(world: World, alice: Client) -> None:
    path = await new_request(world)
    csrf = CSRF.search((await alice.get(path)).text)
    assert csrf
    data = {"csrf": csrf[1], "decision": "approve", "message": "Blue."}
    answers = await asyncio.gather(*(alice.post(path, data=data) for _ in range(4)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 303
    assert set(statuses) <= {303, 409}
    assert (await read_request(world, path))["answer"]["message"] == "Blue."


async def test_a_person_who_has_approved_can_only_deny(world: World, alice: Client) -> None:
    path = await new_request(world, **APPROVAL, approvals_required=2)
    approved = await submit(alice, path, decision="approve")
    shown = approved if approved.status_code == 200 else await alice.get(path)
    assert "1 of 2 people have approved: alice . You are one of them." in words(shown)
    assert re.findall(r'name="decision" value="(\w+)"', shown.text) == ["deny", "edit"]


async def test_people_comment_and_delegate(world: World, alice: Client) -> None:
    path = await new_request(world, assignee="boss")
    boss = await sign_in(world, "boss")
    csrf = CSRF.search((await boss.get(path)).text)
    assert csrf
    for body, status in ((" ", 422), ("x" * 10_001, 422), ("Ask <b>Ann</b>.", 303)):
        data = {"csrf": csrf[1], "comment": body}
        response = await boss.post(f"{path}/comments", data=data)
        assert response.status_code == status, words(response)
        assert status == 303 or "not stored yet" in words(response)
    assert "Ask &lt;b&gt;Ann&lt;/b&gt;." in (await alice.get(path)).text
    forged = {"csrf": "x", "assignee": "eve"}
    assert (await boss.post(f"{path}/assign", data=forged)).status_code == 409
    moved = await boss.post(f"{path}/assign", data={"csrf": csrf[1], "assignee": " ann "})
    assert moved.headers["location"] == "/inbox"
    assert (await boss.get(path)).status_code == 404
    assert (await read_request(world, path))["assignee"] == "ann"
    await boss.aclose()


async def test_closed_requests_say_why(world: World, alice: Client) -> None:
    due_at = datetime(2026, 11, 21, 4, 16, tzinfo=UTC)
    expired = {"status": "expired", "on_expiry": "default", "due_at": due_at}
    shown = words(await alice.get(await new_request(world, **expired)))
    assert "There was no answer in time. The task's default answer applies." in shown
    assert "It was due 21 Nov" in shown
    path = await new_request(world, status="cancelled")
    assert "The request was cancelled" in words(await alice.get(path))
    path = await new_request(world)
    async with world.gateway.database.transaction() as session:
        request = UUID((await read_request(world, path))["execution_id"])
        row = await session.get_one(ExecutionRow, request)
        row.status, row.completed_at = "failed", row.created_at
    assert "The execution has ended" in words(await alice.get(path))


async def test_pages_show_nothing_of_others(world: World, alice: Client) -> None:
    path = await new_request(world, user="bob", title="A secret of bob")
    unknown = "/inbox/00000000-0000-7000-8000-000000000000"
    theirs, none = await alice.get(path), await alice.get(unknown)
    assert (theirs.status_code, none.status_code) == (404, 404)
    assert theirs.text == none.text
    assert (await alice.get("/inbox/nonsense")).status_code == 404
    csrf = CSRF.search((await alice.get("/inbox")).text)
    assert csrf
    data = {"csrf": csrf[1], "decision": "approve", "message": "x"}
    assert (await alice.post(path, data=data)).status_code == 404
    assert (await read_request(world, path, "bob"))["status"] == "open"
    assert "A secret of bob" not in (await alice.get("/inbox")).text


async def test_the_inbox_lists_open_requests(world: World, alice: Client) -> None:
    path = await new_request(world, title="Which <colour>?")
    listed = await alice.get("/inbox")
    assert f'href="{path}"' in listed.text
    assert "Which &lt;colour&gt;?" in listed.text
    async with world.client("alice") as client:
        request = await client.get(f"{API}/input-requests/{path.rpartition('/')[2]}")
    assert request.json()["_links"]["page"] == path


async def test_a_form_of_another_page_changes_nothing(world: World, alice: Client) -> None:
    path = await new_request(world)
    for csrf in ("", "nonsense"):
        forged = {"csrf": csrf, "decision": "approve", "message": "forged"}
        response = await alice.post(path, data=forged)
        assert response.status_code == 409
        assert "forged" in response.text
    elsewhere = {"Origin": "https://evil.example.com"}
    response = await alice.post(path, data={"decision": "deny"}, headers=elsewhere)
    assert response.status_code == 403
    assert (await alice.post("/sign-out", data={"csrf": "x"})).status_code == 409
    assert (await alice.get(path)).status_code == 200
    assert (await read_request(world, path))["status"] == "open"


async def test_a_decision_is_remembered_for_a_pattern_and_a_time(
    world: World, alice: Client
) -> None:
    path = await new_request(world, **APPROVAL, reach_sha256=b"reach")
    opened = await alice.get(path)
    assert 'aria-label="Pattern" value="bash(git push *)"' in opened.text
    rule = {"remember_calls": "pattern", "remember_pattern": "bash(git *)", "remember_days": "7"}
    no_undo = {"undo_seconds": "0", "decision": "approve"}
    refused = await submit(alice, path, **rule, **no_undo)
    assert "Choose the executions" in words(refused)
    done = await submit(alice, path, **rule, **no_undo, remember="task")
    assert done.status_code == 303, words(done)
    shown = words(await alice.get(path))
    assert "an input that bash(git *) covers are approved in every execution of the task" in shown
    async with world.client("alice") as client:
        [stored_rule] = (await client.get(f"{API}/remembered-decisions")).json()["items"]
    lifetime = datetime.fromisoformat(stored_rule["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6) < lifetime <= timedelta(days=7)
    assert "by alice" in words(await alice.get("/remembered-decisions"))


async def test_an_execution_without_a_task_offers_no_rule_for_its_task(
    world: World, alice: Client
) -> None:
    path = await new_request(world, **APPROVAL, reach_sha256=b"reach")
    assert "In every execution of its task" in (await alice.get(path)).text
    async with world.client("alice") as client:
        body = {"prompt": "Push it."}
        execution = (await client.post(f"{API}/task-executions", json=body)).json()
    await give_session(world, execution, "waiting_for_user")
    path = f"/inbox/{await ask(world, execution, **APPROVAL, reach_sha256=b'reach')}"
    opened = (await alice.get(path)).text
    assert "In this execution" in opened
    assert "In every execution of its task" not in opened


async def test_who_is_mentioned_finds_the_request_and_comments(world: World, alice: Client) -> None:
    path = await new_request(world, **APPROVAL | {"title": "Run it?"})
    reader = await sign_in(world, "mentioned")
    assert "No open request mentions you" in words(await reader.get("/inbox?is_mentioned=true"))
    csrf = CSRF.search((await alice.get(path)).text)
    assert csrf
    comment = {"csrf": csrf[1], "comment": "What do you think, @mentioned?"}
    assert (await alice.post(f"{path}/comments", data=comment)).status_code == 303
    assert "Run it?" in words(await reader.get("/inbox?is_mentioned=true"))
    page = await reader.get(path)
    assert "A comment mentions you" in words(page)
    for absent in ('name="decision"', f'action="{path}/assign"', 'href="/executions/'):
        assert absent not in page.text
    assert f'action="{path}/comments"' in page.text
    await reader.aclose()


async def test_the_page_explains_that_a_stale_approval_asks_the_model_again(
    world: World, alice: Client
) -> None:
    async with world.client("alice") as client:
        task = await make_task(client, human_input_policy={"recheck_tools": ["bash(git *)"]})
        execution = await execute(client, task)
        await give_session(world, execution, "waiting_for_user")
        path = f"/inbox/{await ask(world, execution, **APPROVAL)}"
        assert "The call runs with exactly this input." in words(await alice.get(path))
        await client.post(execution["_links"]["messages"], json={"content": "It is Monday."})
    shown = words(await alice.get(path))
    assert "1 new message" in shown
    assert "so the model is asked again first" in shown
    await submit(alice, path, decision="approve", undo_seconds="0")
    assert "Otherwise, the model is asked again first." in words(await alice.get(path))


async def test_a_plan_of_plan_mode_is_described(world: World, alice: Client) -> None:
    plan = {"kind": "plan_approval", "tool_name": "submit_plan", "tool_input": '{"plan": "Look."}'}
    shown = words(await alice.get(await new_request(world, **plan)))
    for text in ("carries out the plan as shown", "revises the plan", "out the changed plan"):
        assert text in shown
