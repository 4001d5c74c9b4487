"""Budgets: a call reserves its maximum cost in the whole tree; a person raises, finishes, stops."""

from decimal import Decimal
from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.executions.states import TERMINAL, ExecutionStatus
from tests.agent.in_memory.driver import InMemoryRun, Runner, script, use
from tests.agent.in_memory.rows import StoredExecution

OPTIONS: dict[str, Any] = {"max_tokens": 1000}
"""A call may cost 0.02 USD for its answer, and little more for its prompt."""

ANSWER = {"usage": {"output_tokens": 900}}
"""It costs 0.018 USD, and a little for its prompt."""

LISTING = {"tool_use": use("list_files"), **ANSWER}
NEVER_ASK = {"mode": "fail"}


def definition(budget: float | None = None, **changed: Any) -> dict[str, Any]:
    options = {**OPTIONS, **({} if budget is None else {"max_budget_usd": budget})}
    return {"allowed_tools": ["delegate", "list_files"], "sdk_options": options, **changed}


async def whole_tree(run: InMemoryRun) -> list[StoredExecution]:
    found = [await run.row()]
    for child in await run.children():
        found += await whole_tree(child)
    return found


async def read_spent(run: InMemoryRun) -> Decimal:
    return sum((row.cost_usd for row in await whole_tree(run)), Decimal(0))


def delegate(*turns: Any, **fields: Any) -> dict[str, Any]:
    return use("delegate", title="part", prompt=script(*turns), **fields)


# --- the tree ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{}, {"max_budget_usd": 1000}, {"max_budget_usd": 0.05}])
async def test_a_subtask_spends_its_parents_budget(runner: Runner, asked: dict[str, Any]) -> None:
    part = delegate({**LISTING, "repeat": 9}, **asked)
    run = await runner.run_to_end(
        {"tool_use": part}, {"text": "done"}, **definition(0.08, human_input_policy=NEVER_ASK)
    )
    [child] = await run.children()
    row = await child.wait_for_end()
    assert row.error_code == ErrorCode.BUDGET_EXHAUSTED
    assert 2 <= row.total_turns <= 3
    assert Decimal("0.04") < await read_spent(run) <= Decimal("0.08")
    assert row.budget_usd is None or row.budget_usd < Decimal("0.08")


async def test_the_last_descendant_is_bound(runner: Runner) -> None:
    deepest = script({**LISTING, "repeat": 9})
    for level in range(4):
        deepest = script({"tool_use": use("delegate", title=f"level {level}", prompt=deepest)})
    run = await runner.run_to_end(
        {"tool_use": use("delegate", title="top", prompt=deepest)},
        **definition(0.1, human_input_policy=NEVER_ASK),
    )
    assert len(await whole_tree(run)) == 6
    assert Decimal("0.05") < await read_spent(run) <= Decimal("0.1")


async def test_a_subtasks_own_budget_binds_its_subtasks_only(runner: Runner) -> None:
    part = delegate({**LISTING, "repeat": 9}, max_budget_usd=0.05)
    run = await runner.run_to_completion(
        {"tool_use": part},
        {"text": "{last_tool_result}"},
        **definition(human_input_policy=NEVER_ASK),
    )
    assert "budget_exhausted" in await run.text()
    [child] = await run.children()
    assert (await child.row()).cost_usd <= Decimal("0.05")


async def test_no_budget_reserves_nothing(runner: Runner) -> None:
    run = await runner.run_to_completion({"text": "x"}, **definition())
    assert "budget.reserved" not in await run.event_types()


async def test_each_call_is_announced_with_its_reservation(runner: Runner) -> None:
    run = await runner.run_to_completion(LISTING, {"text": "x"}, **definition(1))
    reserved = [event.data for event in await run.events() if event.type == "budget.reserved"]
    calls = await run.model_calls()
    assert [(e["turn"], e["usd"]) for e in reserved] == [
        (call.turn, float(call.estimate_usd or 0)) for call in calls
    ]


# --- reservations of others ---------------------------------------------------------------------


async def wait_for_reserved(run: InMemoryRun) -> tuple[InMemoryRun, InMemoryRun]:
    """The subtask whose call is in flight, and the one that waits for its reservation."""
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    children = await run.children()
    one, other = children
    await run.runner.wait_until(
        lambda: {c._execution.status_reason for c in children} == {None, "budget_reserved"},
        "a subtask that waits",
    )
    return (one, other) if other._execution.status_reason else (other, one)


async def test_a_call_waits_for_the_reservations_of_others(runner: Runner) -> None:
    gated = {"text": "ok", "gate": "answers"}
    run = await runner.start(
        {"tool_use": [delegate(gated)] * 2}, {"text": "done"}, **definition(0.05)
    )
    calling, waiting = await wait_for_reserved(run)
    row = await waiting.row()
    assert (row.status, row.total_turns) == (ExecutionStatus.RUNNING, 0)
    assert row.wakes_at is not None
    running = runner.running[waiting.id]
    await runner.wait_until(lambda: running.interrupts is None, "the end of the segment")
    runner.model.open_gate("answers")
    await run.wait_for_end()
    assert (await calling.row()).status == ExecutionStatus.COMPLETED
    assert (await waiting.row()).status == ExecutionStatus.COMPLETED
    assert not await waiting.requests()
    reasons = [e.data["reason"] for e in await waiting.events() if "reason" in e.data]
    assert reasons == ["budget_reserved", None]


async def test_what_does_not_fit_without_reservations_asks(runner: Runner) -> None:
    gated = {"text": "ok", "gate": "answers", **ANSWER}
    run = await runner.start(
        {"tool_use": [delegate(gated)] * 2}, {"text": "done"}, **definition(0.04)
    )
    _, waiting = await wait_for_reserved(run)
    runner.model.open_gate("answers")
    request = await waiting.wait_for_request()
    assert request.kind == "budget"
    assert f"in execution {run.id}, of which this is a subtask" in (request.body or "")


async def test_a_wait_that_got_no_signal_is_tried_again(runner: Runner) -> None:
    gated = {"text": "ok", "gate": "answers"}
    run = await runner.start(
        {"tool_use": [delegate(gated)] * 2}, {"text": "done"}, **definition(0.05)
    )
    calling, waiting = await wait_for_reserved(run)
    runner.executions.waiting_for_budget.clear()
    runner.model.open_gate("answers")
    await calling.wait_for_end()
    assert (await waiting.row()).status_reason == "budget_reserved"
    waiting.skip_time()
    assert (await waiting.wait_for_end()).status == ExecutionStatus.COMPLETED


# --- people -------------------------------------------------------------------------------------


async def start_short(runner: Runner, **changed: Any) -> InMemoryRun:
    """An execution whose second call does not fit."""
    first = {"text": "So far: 42.", **LISTING}
    return await runner.start(first, {"text": "done"}, **definition(0.03, **changed))


async def test_a_raise_continues_it(runner: Runner) -> None:
    run = await start_short(runner)
    request = await run.wait_for_request()
    assert (request.kind, request.tool_call_id) == ("budget", None)
    schema: Any = request.schema
    least = schema["properties"]["max_budget_usd"]["minimum"]
    assert 0.03 < least < 0.05
    await run.answer(request, values={"max_budget_usd": 0.05})
    row = await run.wait_for_end()
    assert (row.status, row.budget_usd) == (ExecutionStatus.COMPLETED, Decimal("0.05"))
    types = await run.event_types()
    assert types.index("budget.exceeded") < types.index("input.requested")


async def test_a_raise_that_is_too_small_asks_again(runner: Runner) -> None:
    run = await start_short(runner)
    await run.answer(await run.wait_for_request(), values={"max_budget_usd": 0.031})
    await run.wait_until(lambda row: len(row.requests) == 2)
    assert (await run.row()).budget_usd == Decimal("0.031")


async def test_a_subtasks_request_raises_all_budgets_that_are_short(runner: Runner) -> None:
    part = delegate({**LISTING, "repeat": 2}, {"text": "part"}, max_budget_usd=1)
    run = await runner.start({"tool_use": part}, {"text": "done"}, **definition(0.05))
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    [child] = await run.children()
    before = (await child.row()).budget_usd
    assert before is not None
    assert before < Decimal("0.05")
    await child.answer(await child.wait_for_request(), values={"max_budget_usd": 0.2})
    await run.wait_for_end()
    assert (await run.row()).budget_usd == Decimal("0.2")
    assert (await child.row()).budget_usd == before + Decimal("0.15")
    assert (await child.row()).status == ExecutionStatus.COMPLETED


async def test_one_raise_continues_all_that_then_fit(runner: Runner) -> None:
    """Ten subtasks ask for the same budget; one answer is enough."""
    part = delegate(LISTING, {"text": "part"})
    run = await runner.start({"tool_use": [part] * 10}, {"text": "done"}, **definition(0.2))
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    children = await run.children()
    waits = [ExecutionStatus.WAITING_FOR_USER, *TERMINAL]
    await runner.wait_until(
        lambda: all(child._execution.status in waits for child in children), "the requests"
    )
    asking = [child for child in children if not child._execution.status.is_terminal]
    assert len(asking) > 2
    await asking[-1].answer(await asking[-1].wait_for_request(), values={"max_budget_usd": 5})
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert {(await child.row()).status for child in children} == {ExecutionStatus.COMPLETED}
    for child in asking[:-1]:
        assert [request.status for request in await child.requests()] == ["cancelled"]
        assert "input.cancelled" in await child.event_types()


async def test_a_person_may_stop_it(runner: Runner) -> None:
    run = await start_short(runner)
    await run.answer(await run.wait_for_request(), decision="deny")
    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.BUDGET_EXHAUSTED)
    assert "a person chose to end" in (row.error_message or "")


async def test_a_person_may_finish_with_what_there_is(runner: Runner) -> None:
    run = await start_short(runner)
    await run.answer(await run.wait_for_request(), decision="finish")
    row = await run.wait_for_end()
    assert (row.status, row.total_turns) == (ExecutionStatus.COMPLETED, 1)
    assert await run.text() == "So far: 42."


async def test_finishing_takes_in_messages_that_came_before(runner: Runner) -> None:
    run = await start_short(runner)
    request = await run.wait_for_request()
    await run.say("one more thing")
    await run.answer(request, decision="finish")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert "one more thing" in str(await run.blocks())


async def test_an_answer_that_misses_the_schema_is_no_result(runner: Runner) -> None:
    options = {**OPTIONS, "max_budget_usd": 0.03, "output_schema": {"type": "object"}}
    run = await runner.start(
        {"text": "So far: 42.", **LISTING}, **{**definition(), "sdk_options": options}
    )
    await run.answer(await run.wait_for_request(), decision="finish")
    row = await run.wait_for_end()
    assert row.error_code == ErrorCode.BUDGET_EXHAUSTED
    assert "not JSON" in (row.error_message or "")


@pytest.mark.parametrize("mode", ["deny", "fail"])
async def test_where_no_person_answers_it_fails(runner: Runner, mode: str) -> None:
    run = await start_short(runner, human_input_policy={"mode": mode})
    row = await run.wait_for_end()
    assert row.error_code == ErrorCode.BUDGET_EXHAUSTED
    assert not await run.requests()


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        ({"on_expiry": "deny"}, "input_expired"),
        ({"on_expiry": "default", "default_answer": {"decision": "approve"}}, "input_expired"),
        ({"on_expiry": "default", "default_answer": {"decision": "finish"}}, None),
    ],
)
async def test_expiry_never_raises_a_budget(
    runner: Runner, policy: dict[str, Any], ending: str | None
) -> None:
    run = await start_short(runner, human_input_policy={"due_seconds": 0.05, **policy})
    assert (await run.wait_for_end()).error_code == ending
    assert (await run.row()).budget_usd is None
