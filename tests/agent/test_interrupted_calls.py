"""Calls that a crash interrupted: what runs again, what the model gets, what a person decides."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.attempt import Attempt
from agent.decisions import Decider
from agent.interrupts import InterruptWatcher
from domain.errors import ErrorCode
from domain.executions.events import Event
from domain.executions.states import ExecutionStatus
from domain.executions.steps import NewMessage, Step, ToolCallStatus
from domain.ids import new_id
from domain.tools.calls import ToolEffect
from tests.agent.in_memory.driver import InMemoryRun, Runner, use
from tests.agent.in_memory.record import InMemoryRecord
from tests.agent.in_memory.rows import StoredRequest
from tests.agent.in_memory.snapshots import take_snapshot
from tests.waiting import eventually

COMMAND = "echo ran >> log; until [ -e go ]; do sleep 0.1; done"
HANGING = {"tool_use": use("bash", command=COMMAND)}
LAST_RESULT = {"text": "{last_tool_result}"}
UNKNOWN = "may have run in part"
OUTSIDE: dict[str, Any] = {"allowed_tools": ["bash"], "working_directory_path": "/srv/site"}


async def interrupt(runner: Runner, **definition: Any) -> InMemoryRun:
    """An execution whose worker died during a command."""
    run = await runner.start(HANGING, LAST_RESULT, **definition)
    await crash_during_command(runner, run)
    return run


async def crash_during_command(runner: Runner, run: InMemoryRun) -> None:
    async def has_effect() -> bool:
        return "log" in run.files

    await eventually(has_effect, what="the command's line")
    await runner.crash(run)


async def interrupt_and_ask(runner: Runner, **policy: Any) -> tuple[InMemoryRun, StoredRequest]:
    run = await interrupt(runner, **OUTSIDE, human_input_policy=policy)
    return run, await run.wait_for_request()


async def test_a_sandboxed_command_is_reported_to_the_model(runner: Runner) -> None:
    run = await interrupt(runner, allowed_tools=["bash"])
    await run.wait_for_end()
    assert UNKNOWN in await run.text()
    assert run.files["log"] == "ran\n"
    assert await run.requests() == []
    [call] = await run.tool_calls()
    assert (call.status, call.effect, call.is_error) == (
        ToolCallStatus.FAILED,
        ToolEffect.WORKSPACE,
        True,
    )


@pytest.mark.parametrize("mode", ["deny", "fail"])
async def test_an_unattended_run_continues_after_a_sandboxed_command(
    runner: Runner, mode: str
) -> None:
    policy = {"mode": mode}
    run = await interrupt(runner, allowed_tools=["bash"], human_input_policy=policy)
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert UNKNOWN in await run.text()


async def test_without_a_sandbox_a_command_is_external(runner: Runner) -> None:
    runner.tools.is_sandboxed = False
    run = await interrupt(runner, allowed_tools=["bash"])
    request = await run.wait_for_request()
    assert request.kind == "effect_check"
    await run.answer(request, decision="skip")
    await run.wait_for_end()


async def test_the_request_says_what_each_decision_does(runner: Runner) -> None:
    run, request = await interrupt_and_ask(runner)
    assert request.title == "bash was interrupted. Did it take effect?"
    assert request.body is not None
    for decision in ("happened:", "not_happened:", "skip:"):
        assert decision in request.body
    assert "approve" not in request.body.lower()
    assert json.loads(request.tool_input or "") == {"command": COMMAND}
    await run.cancel()
    await run.wait_for_end()


async def test_an_early_end_does_not_say_that_it_has_not_run(runner: Runner) -> None:
    run, _ = await interrupt_and_ask(runner)
    await run.finish()
    await run.wait_for_end()
    [result] = await run.results()
    assert UNKNOWN in str(result["content"])
    assert "has not run" not in str(result["content"])


async def test_it_happened(runner: Runner) -> None:
    run, request = await interrupt_and_ask(runner)
    await run.answer(request, decision="happened", message="The mail arrived.")
    await run.wait_for_end()
    assert await run.text() == "The mail arrived."
    assert run.files["log"] == "ran\n"
    [call] = await run.tool_calls()
    assert (call.status, call.is_error) == (ToolCallStatus.SUCCEEDED, False)


async def test_it_happened_and_no_more_is_known(runner: Runner) -> None:
    run, request = await interrupt_and_ask(runner)
    await run.answer(request, decision="happened")
    await run.wait_for_end()
    assert "It took effect." in await run.text()


async def test_it_did_not_happen(runner: Runner) -> None:
    run, request = await interrupt_and_ask(runner)
    run.files["go"] = ""
    await run.answer(request, decision="not_happened")
    await run.wait_for_end()
    assert run.files["log"] == "ran\nran\n"
    assert "[exit code 0]" in await run.text()


@pytest.mark.parametrize("decision", ["skip", "approve", "deny", "Not_happened", None, 1])
async def test_any_other_decision_runs_nothing(runner: Runner, decision: Any) -> None:
    run, request = await interrupt_and_ask(runner)
    await run.answer(request, decision=decision, message="Leave it.")
    await run.wait_for_end()
    assert run.files["log"] == "ran\n"
    assert UNKNOWN in await run.text()
    assert "Leave it." in await run.text()


async def test_an_edited_call_runs_again_as_it_was_edited(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": use("bash", command="echo original >> log")},
        LAST_RESULT,
        ask_tools=["bash"],
        human_input_policy={"on_unknown_effect": "ask"},
    )
    edited = {"command": COMMAND}
    await run.answer(await run.wait_for_request(), decision="edit", input=edited)
    await crash_during_command(runner, run)
    check = await run.wait_for_request()
    assert json.loads(check.tool_input or "") == edited
    run.files["go"] = ""
    await run.answer(check, decision="not_happened")
    await run.wait_for_end()
    assert run.files["log"] == "ran\nran\n"


@pytest.mark.parametrize(
    "rule",
    [
        {"on_expiry": "deny"},
        {"on_expiry": "default", "default_answer": {"decision": "not_happened"}},
        {"on_expiry": "default", "default_answer": {"decision": "approve"}},
        {"on_expiry": "default", "default_answer": {"decision": "deny"}},
        {"on_expiry": "default", "default_answer": {"decision": "skip"}},
        {"on_expiry": "default", "default_answer": "no"},
        {"on_expiry": "default", "default_answer": {"values": {"answer": "not_happened"}}},
    ],
)
async def test_an_expiry_never_means_that_it_did_not_happen(
    runner: Runner, rule: dict[str, Any]
) -> None:
    run = await interrupt(runner, **OUTSIDE, human_input_policy={"due_seconds": 0.01, **rule})
    await run.wait_for_end()
    assert run.files["log"] == "ran\n"
    assert UNKNOWN in await run.text()
    assert "No answer came in time." in await run.text()
    assert "person decided" not in await run.text()


async def test_a_default_can_be_that_it_happened(runner: Runner) -> None:
    rule = {"on_expiry": "default", "default_answer": {"decision": "happened"}}
    run = await interrupt(runner, **OUTSIDE, human_input_policy={"due_seconds": 0.01, **rule})
    await run.wait_for_end()
    assert "It took effect." in await run.text()
    assert run.files["log"] == "ran\n"


@pytest.mark.parametrize("where", [{"allowed_tools": ["bash"]}, OUTSIDE])
async def test_the_policy_can_be_to_fail(runner: Runner, where: dict[str, Any]) -> None:
    run = await interrupt(runner, **where, human_input_policy={"on_unknown_effect": "fail"})
    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.TOOL_FAILED)
    assert run.files["log"] == "ran\n"


async def test_the_policy_can_be_to_inform_the_model(runner: Runner) -> None:
    run = await interrupt(runner, **OUTSIDE, human_input_policy={"on_unknown_effect": "tell_model"})
    await run.wait_for_end()
    assert UNKNOWN in await run.text()


async def test_the_policy_can_be_to_ask_about_sandboxed_commands(runner: Runner) -> None:
    run = await interrupt(
        runner, allowed_tools=["bash"], human_input_policy={"on_unknown_effect": "ask"}
    )
    await run.answer(await run.wait_for_request(), decision="skip")
    await run.wait_for_end()


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ({"allowed_tools": ["write_file"]}, ToolCallStatus.READY),
        ({"ask_tools": ["write_file"]}, ToolCallStatus.APPROVED),
    ],
)
async def test_an_approved_call_that_is_repeated_stays_approved(
    runner: Runner, rules: dict[str, Any], status: ToolCallStatus
) -> None:
    execution = runner.open(LAST_RESULT, **rules)
    snapshot = take_snapshot(execution, runner.executions)
    record = InMemoryRecord(runner.executions, execution.id, segment=1)
    decider = Decider(snapshot, runner.tools, runner.schemas, record)
    now = datetime.now(UTC)
    block = {"id": "toolu_1", "name": "write_file", "input": {"path": "f", "content": "x"}}
    [decision] = await decider.decide([block], turn=1, malformed={}, now=now)
    started = decider.mark_started(decision.call, None)
    assert decider.check_effect(started, now).call.status is status


async def test_effects_of_earlier_versions_are_external() -> None:
    assert ToolEffect("effectful") is ToolEffect.EXTERNAL
    with pytest.raises(ValueError, match="unknown"):
        ToolEffect("unknown")


async def test_a_step_with_progress_ends_the_count_of_stalled_attempts(runner: Runner) -> None:
    """The time until the next attempt depends on the count."""
    asking = {"tool_use": use("ask_user", question="?")}
    run = await runner.start(asking, LAST_RESULT, allowed_tools=["ask_user"])
    await run.wait_for_request()

    async def find_no_problem(*_: object) -> None:
        return None

    record = InMemoryRecord(runner.executions, run.id, segment=run.segments, attempt=2)
    attempt = Attempt(
        await record.begin(),
        record=record,
        live_updates=run.live,
        interrupts=InterruptWatcher(),
        is_segment_over=lambda: False,
        default_problem=find_no_problem,
    )
    await attempt.write(Step(events=[Event("turn.started")]))
    assert attempt.state.stalled_attempts == 1
    seq = attempt.state.transcript.next_seq
    await attempt.write(Step(messages=[NewMessage(new_id(), seq, "user", "[]")]))
    assert attempt.state.stalled_attempts == 0
