"""Tool calls of one turn run at once; their results are one message, in order."""

import asyncio

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from tests.agent.in_memory.driver import Runner, use

LAST_RESULT = {"text": "{last_tool_result}"}


async def test_allowed_calls_run_at_once_and_their_results_are_in_order(runner: Runner) -> None:
    # Each waits for the other's file: one after the other they would time out.
    meet = "touch {0}; until [ -e {1} ]; do sleep 0.02; done; echo {0}"
    run = await runner.run_to_completion(
        {
            "tool_use": [
                use("bash", command=meet.format("a", "b"), timeout_seconds=100),
                use("bash", command=meet.format("b", "a"), timeout_seconds=100),
                use("read_file", path="none"),
            ]
        },
        LAST_RESULT,
        allowed_tools=["bash", "read_file"],
    )
    roles = [role for role, _ in await run.blocks()]
    assert roles == ["user", "assistant", "user", "assistant"]
    first, second, third = await run.results()
    assert "a" in first["content"]
    assert "b" in second["content"]
    assert third["is_error"]
    calls = await run.tool_calls()
    assert [r["tool_use_id"] for r in (first, second, third)] == [c.tool_use_id for c in calls]


async def test_a_failing_tool_does_not_fail_the_execution(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": use("bash", command="echo no; exit 3")}, LAST_RESULT, allowed_tools=["bash"]
    )
    [call] = await run.tool_calls()
    [result] = await run.results()
    assert (call.status, call.is_error, result["is_error"]) == ("failed", True, True)
    assert call.output == await run.text() == "no\n\n[exit code 3]"


async def test_an_artifact_is_kept(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": use("write_file", path="a.txt", content="hello")},
        {"tool_use": use("save_artifact", path="a.txt", name="A \u202e.txt")},
        LAST_RESULT,
        allowed_tools=["write_file", "save_artifact"],
    )
    [artifact] = (await run.row()).artifacts
    _, saved = await run.tool_calls()
    assert (artifact.kind, artifact.name) == ("artifact", "A \u202e.txt")
    assert artifact.tool_call_id == saved.id
    assert runner.store.content[artifact.sha256] == b"hello"
    [data] = [event.data for event in await run.events() if event.type == "artifact.saved"]
    assert data == {"artifact_id": str(artifact.id), "name": artifact.name, "size_bytes": 5}


async def test_the_outcome_of_a_call_is_recorded_without_a_file_that_can_not_be_stored(
    runner: Runner,
) -> None:
    runner.store.problem = "The disk is full."
    run = await runner.run_to_completion(
        {"tool_use": use("write_file", path="a.txt", content="hello")},
        {"tool_use": use("save_artifact", path="a.txt")},
        LAST_RESULT,
        allowed_tools=["write_file", "save_artifact"],
    )
    assert (await run.row()).artifacts == []
    _, saved = await run.tool_calls()
    assert (saved.status, saved.is_error) == ("failed", True)
    assert "(Not stored as an artifact: a.txt. The disk is full.)" in await run.text()


async def test_a_cancel_while_files_are_saved_keeps_the_outcome(runner: Runner) -> None:
    runner.tools.may_save.clear()
    run = await runner.start(
        {"tool_use": use("bash", command="echo a > f")}, LAST_RESULT, allowed_tools=["bash"]
    )
    await runner.tools.is_saving.wait()
    await run.cancel()
    for _ in range(20):  # the cancellation reaches the call
        await asyncio.sleep(0)
    runner.tools.may_save.set()
    assert (await run.wait_for_end()).status == ExecutionStatus.CANCELLED
    [call] = await run.tool_calls()
    assert (call.status, call.output) == ("succeeded", "[exit code 0]")


async def test_the_model_is_informed_if_files_can_not_be_saved(runner: Runner) -> None:
    runner.tools.save_problem = "the store is full"
    run = await runner.run_to_completion(
        {"tool_use": use("bash", command="echo a > f")}, LAST_RESULT, allowed_tools=["bash"]
    )
    assert "they are lost if it fails: the store is full.)" in await run.text()
    assert (await run.row()).session.workspace.snapshot is None


async def test_many_turns_with_many_calls(runner: Runner) -> None:
    turn = {"tool_use": [use("list_files")] * 12, "repeat": 5}
    run = await runner.run_to_completion(turn, LAST_RESULT, allowed_tools=["list_files"])
    row = await run.row()
    assert (row.total_turns, row.total_tool_calls, row.total_messages) == (6, 60, 12)


async def test_a_session_keeps_its_files(runner: Runner) -> None:
    first = await runner.run_to_completion(
        {"tool_use": use("write_file", path="kept", content="still here")},
        {"text": "done"},
        allowed_tools=["write_file"],
    )
    session_id = (await first.row()).session_id
    second = await runner.run_to_completion(
        {"tool_use": use("read_file", path="kept")},
        LAST_RESULT,
        session_id=session_id,
        allowed_tools=["read_file"],
    )
    assert second.id != first.id
    assert "still here" in await second.text()


async def test_no_tools_at_all(runner: Runner) -> None:
    run = await runner.run_to_completion({"tool_use": use("bash", command="id")}, LAST_RESULT)
    assert "The tools are: none." in await run.text()
    assert not run.files


async def test_turns_are_limited(runner: Runner) -> None:
    turn = {"tool_use": use("list_files"), "repeat": 9}
    run = await runner.run_to_failure(
        turn,
        code=ErrorCode.MAX_TURNS,
        allowed_tools=["list_files"],
        sdk_options={"max_turns": 3},
    )
    assert (await run.row()).total_turns == 3
