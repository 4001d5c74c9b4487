"""`delegate`: child workflows, their results, their failures, and what bounds them."""

import json
from typing import Any

from domain.agents.agent import Agent
from domain.executions.states import ExecutionStatus
from domain.executions.steps import ToolCallStatus
from tests.agent.in_memory.driver import InMemoryRun, Runner, Turn, script, use

DELEGATE: dict[str, Any] = {"allowed_tools": ["delegate"]}
LAST_RESULT = {"text": "{last_tool_result}"}


def delegate(*turns: Turn, **fields: Any) -> dict[str, Any]:
    """A subtask with a script of its own."""
    return use("delegate", title="part", prompt=script(*turns), **fields)


def nest_subtasks(depth: int) -> list[Turn]:
    """Subtasks within subtasks. A parent's script fills in the placeholders of theirs."""
    answer = {"text": f"from {depth}"}
    if depth == 0:
        return [answer]
    inner = script(*nest_subtasks(depth - 1))
    return [{"tool_use": use("delegate", title=f"level {depth}", prompt=inner)}, answer]


async def find_child(run: InMemoryRun) -> InMemoryRun:
    [child] = await run.children()
    return child


async def test_a_result_comes_back(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "42"})}, LAST_RESULT, **DELEGATE
    )
    assert await run.text() == "42"
    row = await (await find_child(run)).wait_for_end()
    assert (row.trigger_type, row.depth, row.status) == ("subtask", 1, ExecutionStatus.COMPLETED)
    assert row.session_id != (await run.row()).session_id
    types = await run.event_types()
    assert types.index("subtask.started") < types.index("subtask.completed")


async def test_many_run_side_by_side_and_the_parent_waits(runner: Runner) -> None:
    slow = {"text": "{turn}", "gate": "answers"}
    run = await runner.start({"tool_use": [delegate(slow)] * 10}, LAST_RESULT, **DELEGATE)
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    runner.model.open_gate("answers")
    await run.wait_for_end()
    assert len(await run.children()) == 10
    assert [result["content"] for result in await run.results()] == ["1"] * 10


async def test_they_run_beside_the_tools_of_the_turn(runner: Runner) -> None:
    long = use("bash", command="touch begun; until [ -e go ]; do sleep 0.1; done; echo went")
    run = await runner.start(
        {"tool_use": [delegate({"text": "quick"}), long]},
        LAST_RESULT,
        allowed_tools=["delegate", "bash"],
    )
    await run.wait_for_tool_call()
    child = await find_child(run)
    await child.wait_for_end()
    assert "begun" in run.files
    run.files["go"] = ""
    await run.wait_for_end()
    assert [r["content"].split("\n")[0] for r in await run.results()] == ["quick", "went"]


async def test_eleven_in_one_turn_are_too_many(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": [delegate({"text": "x"})] * 11}, LAST_RESULT, **DELEGATE
    )
    assert "At most 10 subtasks" in await run.text()
    assert not await run.children()


async def test_eleven_approved_ones_are_too_many(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": [delegate({"text": "x"})] * 11}, LAST_RESULT, ask_tools=["delegate"]
    )
    await run.wait_for_request()
    for request in await run.requests():
        await run.answer(request, decision="approve")
    await run.wait_for_end()
    assert len(await run.children()) == 10
    assert "At most 10 subtasks" in await run.text()


async def test_a_failed_subtask_is_reported_to_the_model(runner: Runner) -> None:
    child = delegate({"text": "no", "stop_reason": "refusal"})
    run = await runner.run_to_completion({"tool_use": child}, LAST_RESULT, **DELEGATE)
    assert await run.text() == "The subtask failed (model_refused): The model refused to continue."
    [result] = await run.results()
    assert result["is_error"]


async def test_a_cancelled_subtask_is_reported_to_the_model(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": delegate({"text": "x", "gate": "never opened"})}, LAST_RESULT, **DELEGATE
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    child = await find_child(run)
    await child.wait_for_model_call()
    await child.cancel()
    await run.wait_for_end()
    assert await run.text() == "The subtask was cancelled."


async def test_grandchildren(runner: Runner) -> None:
    run = await runner.run_to_completion(*nest_subtasks(5), **DELEGATE)
    for depth in (5, 4, 3, 2, 1, 0):
        assert (await run.row()).depth == 5 - depth
        assert await run.text() == f"from {depth}"
        if depth:
            assert [r["content"] for r in await run.results()] == [f"from {depth - 1}"]
            run = await find_child(run)


async def test_six_levels_are_too_deep(runner: Runner) -> None:
    run = await runner.run_to_completion(*nest_subtasks(6), **DELEGATE)
    for _ in range(5):
        run = await find_child(run)
    [result] = await run.results()
    assert "5 levels deep at most" in result["content"]
    assert not await run.children()


async def test_a_budget_is_the_subtasks_own(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "x"}, max_budget_usd=0.0001)},
        LAST_RESULT,
        **DELEGATE,
        human_input_policy={"mode": "fail"},
    )
    assert "budget_exhausted" in await run.text()


# --- several subtasks in one call -------------------------------------------------------------

MANY: dict[str, Any] = {"allowed_tools": ["delegate_many"]}


def part(title: str, *turns: Turn, **fields: Any) -> dict[str, Any]:
    return {"title": title, "prompt": script(*turns), **fields}


def delegate_many(*parts: dict[str, Any]) -> dict[str, Any]:
    return use("delegate_many", subtasks=list(parts))


async def read_results(run: InMemoryRun) -> list[dict[str, Any]]:
    [result] = await run.results()
    assert "is_error" not in result
    listed: list[dict[str, Any]] = json.loads(result["content"])["subtasks"]
    return listed


async def test_one_call_starts_many_and_lists_each_outcome(runner: Runner) -> None:
    call = delegate_many(
        part("good", {"text": "42"}, agent_id="reviewer"),
        part("bad", {"text": "no", "stop_reason": "refusal"}),
        part("slow", {"text": "late", "gate": "slow"}),
    )
    run = await runner.start({"tool_use": call}, {"text": "done"}, **MANY)
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    good, bad, slow = await run.children()
    await good.wait_for_end()
    await bad.wait_for_end()
    assert (await run.tool_calls())[0].status is ToolCallStatus.WAITING_FOR_SUBTASK
    runner.model.open_gate("slow")
    await run.wait_for_end()
    first, second, third = await read_results(run)
    assert (first["title"], first["agent_id"], first["result"]) == ("good", "reviewer", "42")
    assert first["execution_id"] == str(good.id)
    assert second["status"] == "failed"
    assert "model_refused" in second["error"]
    assert third["result"] == "late"
    types = await run.event_types()
    assert types.count("subtask.started") == types.count("subtask.completed") == 3
    [recorded] = await run.tool_calls()
    assert recorded.child_execution_ids == (good.id, bad.id, slow.id)


async def test_artifacts_of_subtasks_are_listed(runner: Runner) -> None:
    saving: list[Turn] = [
        {"tool_use": use("write_file", path="a.txt", content="x")},
        {"tool_use": use("save_artifact", path="a.txt")},
        {"text": "saved"},
    ]
    tools = ["delegate", "delegate_many", "write_file", "save_artifact"]
    run = await runner.run_to_completion(
        {"tool_use": delegate_many(part("one", *saving))},
        {"tool_use": delegate(*saving)},
        {"text": "done"},
        allowed_tools=tools,
    )
    many, single = [result["content"] for result in await run.results()]
    [listed] = json.loads(many)["subtasks"][0]["artifacts"]
    [kept] = (await (await run.children())[0].row()).artifacts
    assert listed == {"id": str(kept.id), "name": "a.txt", "type": "text/plain", "bytes": 1}
    assert single.startswith("saved\n[artifact a.txt: id ")
    assert all("ask a subtask to put it into its result" in text for text in (many, single))
    run = await runner.run_to_completion(
        {"tool_use": delegate(*saving)}, {"text": "done"}, allowed_tools=[*tools, "read_artifact"]
    )
    [result] = await run.results()
    assert result["content"].endswith("[read_artifact returns the text of an artifact.]")


async def test_a_long_result_is_shortened(runner: Runner) -> None:
    long = {"text": "x" * 40_000}
    run = await runner.run_to_completion(
        {"tool_use": delegate_many(*[part("p", long)] * 5)}, {"text": "done"}, **MANY
    )
    for listed in await read_results(run):
        assert len(listed["result"]) < 20_200
        assert "20,000 characters left out; people can read all of" in listed["result"]


async def test_one_wrong_subtask_starts_none(runner: Runner) -> None:
    call = delegate_many(
        part("fine", {"text": "x"}),
        part("greedy", {"text": "x"}, allowed_tools=["bash"]),
        part("nobody", {"text": "x"}, agent_id="gone"),
    )
    run = await runner.run_to_completion({"tool_use": call}, LAST_RESULT, **MANY)
    text = await run.text()
    assert "Subtask 2 was refused: You can pass on only tools you have yourself" in text
    assert "Subtask 3 was refused: There is no agent 'gone'" in text
    assert "No subtask was started" in text
    assert not await run.children()


async def test_limits_count_the_subtasks_of_all_calls(runner: Runner) -> None:
    six = delegate_many(*[part("p", {"text": "x"})] * 6)
    run = await runner.run_to_completion({"tool_use": [six, six]}, LAST_RESULT, **MANY)
    assert "At most 10 subtasks" in await run.text()
    assert not await run.children()


async def test_eleven_in_one_call_do_not_fit_its_schema(runner: Runner) -> None:
    eleven = delegate_many(*[part("p", {"text": "x"})] * 11)
    run = await runner.run_to_completion({"tool_use": eleven}, LAST_RESULT, **MANY)
    assert "the schema says maxItems: 10" in await run.text()
    assert not await run.children()


async def test_many_are_approved_as_one_call(runner: Runner) -> None:
    call = delegate_many(part("one", {"text": "1"}), part("two", {"text": "2"}))
    run = await runner.start({"tool_use": call}, {"text": "done"}, ask_tools=["delegate_many"])
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    assert [listed["result"] for listed in await read_results(run)] == ["1", "2"]


async def test_a_crash_repeats_no_subtask(runner: Runner) -> None:
    call = delegate_many(part("a", {"text": "1"}), part("b", {"text": "2", "gate": "b"}))
    run = await runner.start({"tool_use": call}, {"text": "done"}, **MANY)
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    await (await run.children())[0].wait_for_end()
    await runner.crash(run)
    runner.model.open_gate("b")
    await run.wait_for_end()
    assert [listed["result"] for listed in await read_results(run)] == ["1", "2"]
    assert len(await run.children()) == 2


# --- agents -----------------------------------------------------------------------------------


async def test_an_agent_does_not_delegate_to_itself(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "x"}, agent_id="planner")},
        LAST_RESULT,
        **DELEGATE,
        agent_id="planner",
    )
    assert "You are the agent 'planner', and an agent can't delegate to itself" in await run.text()
    assert not await run.children()


async def test_agents_that_delegate_to_each_other_end_at_the_depth(runner: Runner) -> None:
    runner.executions.agents = {
        slug: Agent(slug, slug, "", "You delegate.", allowed_tools=("delegate",))
        for slug in ("ping", "pong")
    }

    def turns(depth: int) -> list[Turn]:
        if depth > 5:
            return [LAST_RESULT]
        slug = ("ping", "pong")[depth % 2]
        return [{"tool_use": delegate(*turns(depth + 1), agent_id=slug)}, LAST_RESULT]

    run = await runner.run_to_completion(*turns(0), **DELEGATE)
    for _ in range(5):
        run = await find_child(run)
    [result] = await run.results()
    assert "5 levels deep at most" in result["content"]
