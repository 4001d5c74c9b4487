"""`delegate`: child workflows, their results, their failures, and what bounds them."""

from typing import Any

from domain.states import ExecutionStatus
from tests.agent.in_memory.driver import InMemoryRun, Runner, Turn, script, use

DELEGATE: dict[str, Any] = {"allowed_tools": ["delegate"]}
LAST_RESULT = {"text": "{last_tool_result}"}


def delegate(*turns: Turn, **fields: Any) -> dict[str, Any]:
    """A subtask with a script of its own."""
    return use("delegate", title="part", prompt=script(*turns), **fields)


def nested(depth: int) -> list[Turn]:
    """Subtasks within subtasks. A parent's script fills in the placeholders of theirs."""
    answer = {"text": f"from {depth}"}
    if depth == 0:
        return [answer]
    inner = script(*nested(depth - 1))
    return [{"tool_use": use("delegate", title=f"level {depth}", prompt=inner)}, answer]


async def only_child(run: InMemoryRun) -> InMemoryRun:
    [child] = await run.children()
    return child


async def test_a_result_comes_back(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "42"})}, LAST_RESULT, **DELEGATE
    )
    assert await run.text() == "42"
    row = await (await only_child(run)).wait_for_end()
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
    child = await only_child(run)
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
    child = await only_child(run)
    await child.wait_for_model_call()
    await child.cancel()
    await run.wait_for_end()
    assert await run.text() == "The subtask was cancelled."


async def test_grandchildren(runner: Runner) -> None:
    run = await runner.run_to_completion(*nested(5), **DELEGATE)
    for depth in (5, 4, 3, 2, 1, 0):
        assert (await run.row()).depth == 5 - depth
        assert await run.text() == f"from {depth}"
        if depth:
            assert [r["content"] for r in await run.results()] == [f"from {depth - 1}"]
            run = await only_child(run)


async def test_six_levels_are_too_deep(runner: Runner) -> None:
    run = await runner.run_to_completion(*nested(6), **DELEGATE)
    for _ in range(5):
        run = await only_child(run)
    [result] = await run.results()
    assert "5 levels deep at most" in result["content"]
    assert not await run.children()


async def test_tools_and_limits_are_inherited(runner: Runner) -> None:
    listing = {"tool_use": use("list_files"), "repeat": 5}
    children = [
        delegate(listing, allowed_tools=["list_files"], max_turns=2),
        delegate(
            {"tool_use": use("bash", command="id")}, {"text": "-"}, allowed_tools=["list_files"]
        ),
        delegate({"text": "x"}, allowed_tools=["save_artifact"]),
    ]
    run = await runner.run_to_completion(
        {"tool_use": children}, LAST_RESULT, allowed_tools=["delegate", "list_files", "bash"]
    )
    limited, narrowed, greedy = [result["content"] for result in await run.results()]
    assert "max_turns" in limited
    assert narrowed == "-"
    [refused] = await (await run.children())[1].results()
    assert "There is no tool named 'bash' here. The tools are: list_files." in refused["content"]
    assert "only tools you have yourself, not save_artifact" in greedy


async def test_a_budget_is_the_subtasks_own(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "x"}, max_budget_usd=0.0001)},
        LAST_RESULT,
        **DELEGATE,
        human_input_policy={"mode": "fail"},
    )
    assert "budget_exhausted" in await run.text()
