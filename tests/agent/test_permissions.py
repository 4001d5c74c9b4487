"""Permissions: a tool call runs, is denied, or needs approval; an approved call runs unchanged."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from domain.people.rechecks import RECHECKED as WAS_RECHECKED
from domain.people.rechecks import REPEATED, ApprovalAge
from domain.people.remembered_decisions import RememberedDecision
from tests.agent.in_memory.driver import InMemoryRun, Runner, use
from tests.agent.in_memory.rows import StoredRequest

WRITE = {"tool_use": use("write_file", path="note", content="one")}
LAST_RESULT = {"text": "{last_tool_result}"}
ASKING: dict[str, Any] = {"ask_tools": ["write_file"]}


async def note(run: InMemoryRun) -> str | None:
    return run.files.get("note")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"allowed_tools": ["write_file"]}, "succeeded"),
        ({"allowed_tools": ["write_file"], "disallowed_tools": ["write_file"]}, "denied"),
        (
            {"allowed_tools": ["write_file"], "sdk_options": {"permission_mode": "plan"}},
            "denied",
        ),
        ({**ASKING, "sdk_options": {"permission_mode": "acceptEdits"}}, "succeeded"),
        ({**ASKING, "sdk_options": {"permission_mode": "bypassPermissions"}}, "succeeded"),
        ({"allowed_tools": ["read_file"]}, "failed"),
    ],
)
async def test_rules_and_modes(runner: Runner, fields: dict[str, Any], status: str) -> None:
    run = await runner.run_to_completion(WRITE, LAST_RESULT, **fields)
    [call] = await run.tool_calls()
    assert call.status == status
    assert await note(run) == ("one" if status == "succeeded" else None)
    assert ("tool.denied" in await run.event_types()) == (status == "denied")
    assert call.output == await run.text()


async def test_a_use_no_pattern_allows_is_asked_for(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": [use("bash", command="echo free"), use("bash", command="echo free; id")]},
        LAST_RESULT,
        allowed_tools=["bash(echo *)"],
    )
    request = await run.wait_for_request()
    assert json.loads(request.tool_input or "") == {"command": "echo free; id"}
    [free, asked] = await run.tool_calls()
    assert (free.status, asked.status) == ("succeeded", "waiting_for_user")
    await run.answer(request, decision="deny", message="no semicolons")
    await run.wait_for_end()
    assert "no semicolons" in await run.text()


async def test_an_approved_call_runs_as_it_was_asked(runner: Runner) -> None:
    run = await runner.start(WRITE, LAST_RESULT, **ASKING)
    request = await run.wait_for_request()
    assert request.kind == "approval"
    assert request.tool_input is not None
    assert request.input_sha256 == hashlib.sha256(request.tool_input.encode()).digest()
    assert await note(run) is None
    await run.answer(request, decision="approve")
    row = await run.wait_for_end()
    assert (row.status, await note(run)) == (ExecutionStatus.COMPLETED, "one")
    types = await run.event_types()
    assert types.index("input.requested") < types.index("input.answered")
    assert types.index("input.answered") < types.index("tool.started")


async def test_an_edited_call_runs_as_it_was_edited(runner: Runner) -> None:
    run = await runner.start(WRITE, LAST_RESULT, **ASKING)
    request = await run.wait_for_request()
    await run.answer(request, decision="edit", input={"path": "note", "content": "two"})
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert await note(run) == "two"
    assert json.loads(call.input)["content"] == "one"
    assert json.loads(call.approved_input or "")["content"] == "two"


async def test_a_denied_call_gives_the_reason_to_the_model(runner: Runner) -> None:
    run = await runner.start(WRITE, LAST_RESULT, **ASKING)
    await run.answer(await run.wait_for_request(), decision="deny", message="Not on a Friday.")
    await run.wait_for_end()
    assert "Not on a Friday." in await run.text()
    assert await note(run) is None


async def test_an_approved_reading_tool_records_its_start(runner: Runner) -> None:
    run = await runner.start({"tool_use": use("list_files")}, LAST_RESULT, ask_tools=["list_files"])
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    types = await run.event_types()
    assert types.index("tool.started") < types.index("tool.completed")


async def test_approved_calls_run_in_the_models_order_when_all_are_settled(runner: Runner) -> None:
    run = await runner.start(
        {
            "tool_use": [
                *(use("bash", command=f"echo {n} >> log") for n in (1, 2, 3)),
                use("read_file", path="none"),
            ]
        },
        {"tool_use": use("bash", command="cat log")},
        LAST_RESULT,
        ask_tools=["bash"],
        allowed_tools=["read_file"],
    )
    await run.wait_for_request()
    requests = {request.tool_call_id: request for request in await run.requests()}
    calls = [call for call in await run.tool_calls() if call.id in requests]
    for call in (calls[2], calls[0]):
        await run.answer(requests[call.id], decision="approve")
    await run.answer(requests[calls[1].id], decision="deny")
    # The second turn asks again; by then both approved calls have run.
    row = await run.wait_until(lambda row: row.total_turns == 2)
    assert row.status != ExecutionStatus.COMPLETED
    results = await run.results()
    assert [result.get("is_error", False) for result in results] == [False, True, False, True]
    assert [result["tool_use_id"] for result in results] == [
        call.tool_use_id for call in (await run.tool_calls())[:4]
    ]
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    assert "1\n3" in await run.text()


@pytest.mark.parametrize(
    ("mode", "command", "reason"),
    [
        ("deny", "echo a; id", "a semicolon (';')"),
        ("fail", "echo a | cat", "a pipe ('|')"),
        ("fail", "echo a 2>/dev/null", "a redirection ('>')"),
        ("deny", "id", "not this one: bash(echo *)"),
    ],
)
async def test_the_reason_for_a_person_is_given_where_there_is_none(
    runner: Runner, mode: str, command: str, reason: str
) -> None:
    fields: dict[str, Any] = {
        "allowed_tools": ["bash(echo *)"],
        "human_input_policy": {"mode": mode},
    }
    turn = {"tool_use": use("bash", command=command)}
    if mode == "deny":
        run = await runner.run_to_completion(turn, LAST_RESULT, **fields)
        assert reason in await run.text()
    else:
        run = await runner.run_to_failure(turn, LAST_RESULT, code=ErrorCode.INPUT_DENIED, **fields)
        assert reason in ((await run.row()).error_message or "")


async def test_the_request_names_what_is_more_than_one_command(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": use("bash", command="echo a; id")}, LAST_RESULT, allowed_tools=["bash(echo *)"]
    )
    request = await run.wait_for_request()
    assert "a semicolon (';')" in (request.body or "")
    assert "Use one call for each command" in (request.body or "")


async def test_a_list_leaves_out_what_a_rule_restricts(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": [use("write_file", path=p, content="x") for p in ("secrets/k", "open")]},
        {"tool_use": use("list_files")},
        LAST_RESULT,
        allowed_tools=["write_file", "list_files"],
        disallowed_tools=["list_files(secrets/)"],
    )
    assert set(run.files) == {"secrets/k", "open"}
    assert await run.text() == "open  (1 bytes)"


async def test_a_forbidden_tool_is_not_offered_and_its_call_denied(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": use("bash", command="echo a")},
        LAST_RESULT,
        allowed_tools=["bash", "read_file"],
        disallowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert call.status == "denied"
    assert "forbids bash" in await run.text()


@pytest.mark.parametrize("mode", ["deny", "fail"])
async def test_no_person_answers(runner: Runner, mode: str) -> None:
    policy: dict[str, Any] = {"human_input_policy": {"mode": mode}}
    if mode == "deny":
        run = await runner.run_to_completion(WRITE, LAST_RESULT, **ASKING, **policy)
        assert "No person answers" in await run.text()
    else:
        run = await runner.run_to_failure(
            WRITE, LAST_RESULT, code=ErrorCode.INPUT_DENIED, **ASKING, **policy
        )
    assert not await run.requests()
    assert await note(run) is None


def approval_of(asked: StoredRequest) -> RememberedDecision:
    return RememberedDecision(
        id=new_id(),
        decision="approve",
        tool_name="write_file",
        reach_sha256=asked.reach_sha256 or b"",
        input_sha256=asked.input_sha256 or b"",
        author_id=new_id(),
        author="alice",
        created_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "succeeded"),
        ({"decision": "deny", "message": "Not this file."}, "denied"),
        ({"input_sha256": b"another"}, "waiting_for_user"),
        ({"reach_sha256": b"another"}, "waiting_for_user"),
        ({"pattern": "write_file(src/*)"}, "waiting_for_user"),
        ({"pattern": "write_file(no*)", "input_sha256": b"another"}, "succeeded"),
    ],
)
async def test_a_remembered_decision_decides_the_same_call(
    runner: Runner, changed: dict[str, Any], status: str
) -> None:
    first = await runner.start(WRITE, LAST_RESULT, **ASKING)
    asked = await first.wait_for_request()
    rule = replace(approval_of(asked), **changed)
    runner.executions.remembered.append(rule)
    await first.cancel()
    second = await runner.start(WRITE, LAST_RESULT, **ASKING)
    await second.wait_until(
        lambda row: row.status in {ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.COMPLETED}
    )
    [call] = await second.tool_calls()
    assert call.status == status
    is_decided = status != "waiting_for_user"
    assert (call.remembered_decision_id == rule.id) is is_decided
    assert (await second.event_types()).count("input.remembered") == is_decided
    if status == "denied":
        assert "Not this file." in await second.text()


async def test_a_remembered_decision_never_outranks_what_the_task_forbids(runner: Runner) -> None:
    first = await runner.start(WRITE, LAST_RESULT, **ASKING)
    asked = await first.wait_for_request()
    runner.executions.remembered.append(approval_of(asked))
    await first.cancel()
    run = await runner.run_to_completion(
        WRITE, LAST_RESULT, **ASKING, disallowed_tools=["write_file(note)"]
    )
    [call] = await run.tool_calls()
    assert (call.status, call.remembered_decision_id) == ("denied", None)


@pytest.mark.parametrize("is_starter", [True, False])
@pytest.mark.parametrize(
    "policy", [{"approvals_required": 2}, {"starter_may_not_approve": True}, {}]
)
async def test_a_remembered_approval_is_no_way_around_other_approvers(
    runner: Runner, policy: dict[str, Any], *, is_starter: bool
) -> None:
    first = await runner.start(WRITE, LAST_RESULT, **ASKING)
    rule = approval_of(await first.wait_for_request())
    await first.cancel()
    later = runner.open(WRITE, LAST_RESULT, **ASKING, human_input_policy=policy)
    author = later.user_id if is_starter else new_id()
    runner.executions.remembered.append(replace(rule, author_id=author))
    runner.move(later)
    run = runner.run(later.id)
    await run.wait_until(
        lambda row: row.status in {ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.COMPLETED}
    )
    [call] = await run.tool_calls()
    must_ask = "approvals_required" in policy or (policy and is_starter)
    assert call.status == ("waiting_for_user" if must_ask else "succeeded")


RECHECKED = {**ASKING, "human_input_policy": {"recheck_tools": ["write_file"]}}


async def test_a_stale_approval_asks_the_model_again(runner: Runner) -> None:
    """The same call then runs without a question, but only once."""
    run = await runner.start(WRITE, WRITE, WRITE, LAST_RESULT, **RECHECKED)
    runner.executions.approval_age = ApprovalAge(
        timedelta(days=3), messages=1, files=["a.txt"], other_calls=1
    )
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_until(lambda row: len(row.tool_calls) == 3)
    stale, ran, asked = await run.tool_calls()
    assert (stale.status, stale.reason) == ("denied", WAS_RECHECKED)
    assert "answered after 3 days, and 1 new message" in (stale.output or "")
    assert "other calls have written a.txt, and 1 other call(s)" in (stale.output or "")
    assert (ran.status, ran.reason) == ("succeeded", REPEATED)
    assert asked.status == "waiting_for_user"


async def test_the_order_of_the_keys_does_not_matter(runner: Runner) -> None:
    """The database does not keep the order of an edited input."""
    edited = {"path": "note", "content": "two"}
    again = {"tool_use": use("write_file", **edited)}
    run = await runner.start(WRITE, again, LAST_RESULT, **RECHECKED)
    runner.executions.approval_age = ApprovalAge(timedelta(days=3))
    turned = dict(reversed(edited.items()))
    await run.answer(await run.wait_for_request(), decision="edit", input=turned)
    await run.wait_for_end()
    assert run.files["note"] == "two"
    assert len(await run.requests()) == 1


async def test_people_have_changed_the_working_directory(runner: Runner) -> None:
    used = {**RECHECKED, "working_directory_path": "/srv/site"}
    runner.tools.changed = ["index.html", "css/"]
    run = await runner.start(WRITE, LAST_RESULT, **used)
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    [stale] = await run.tool_calls()
    assert stale.reason == WAS_RECHECKED
    assert "the working directory has changed: index.html, css/." in (stale.output or "")


async def test_a_fresh_approval_runs_the_call(runner: Runner) -> None:
    run = await runner.start(WRITE, LAST_RESULT, **RECHECKED)
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    [call] = await run.tool_calls()
    assert call.status == "succeeded"
