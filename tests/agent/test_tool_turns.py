"""Tool calls of one turn: run at once, told in one message, kept in their order."""

from domain.errors import ErrorCode
from tests.engine.driver import Engine, use

TOLD = {"text": "{last_tool_result}"}


async def test_allowed_calls_run_at_once_and_are_told_in_order(engine: Engine) -> None:
    # Each waits for the other's file: one after the other they would time out.
    meet = "touch {0}; until [ -e {1} ]; do sleep 0.02; done; echo {0}"
    run = await engine.completed(
        {
            "tool_use": [
                use("bash", command=meet.format("a", "b"), timeout_seconds=100),
                use("bash", command=meet.format("b", "a"), timeout_seconds=100),
                use("read_file", path="none"),
            ]
        },
        TOLD,
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


async def test_a_failing_tool_is_told_and_fails_nothing(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": use("bash", command="echo no; exit 3")}, TOLD, allowed_tools=["bash"]
    )
    [call] = await run.tool_calls()
    assert "3" in await run.text()
    assert call.status in ("succeeded", "failed")


async def test_an_artifact_is_kept(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": use("write_file", path="a.txt", content="hello")},
        {"tool_use": use("save_artifact", path="a.txt", name="A \u202e.txt")},
        TOLD,
        allowed_tools=["write_file", "save_artifact"],
    )
    assert "artifact.saved" in await run.event_types()


async def test_many_turns_with_many_calls(engine: Engine) -> None:
    turn = {"tool_use": [use("list_files")] * 12, "repeat": 5}
    run = await engine.completed(turn, TOLD, allowed_tools=["list_files"])
    row = await run.row()
    assert (row.total_turns, row.total_tool_calls, row.total_messages) == (6, 60, 12)


async def test_the_workspace_stays_through_a_session(engine: Engine) -> None:
    first = await engine.completed(
        {"tool_use": use("write_file", path="kept", content="still here")},
        {"text": "done"},
        allowed_tools=["write_file"],
    )
    session_id = (await first.row()).session_id
    second = await engine.completed(
        {"text": "unused"},
        prompt_template="go on",
        session_id=session_id,
        allowed_tools=["read_file"],
    )
    assert await second.workspace() == await first.workspace()


async def test_no_tools_at_all(engine: Engine) -> None:
    run = await engine.completed({"tool_use": use("bash", command="id")}, TOLD)
    assert "The tools are: none." in await run.text()
    assert not (await run.workspace()).exists()


async def test_turns_are_limited(engine: Engine) -> None:
    turn = {"tool_use": use("list_files"), "repeat": 9}
    run = await engine.failed(
        turn,
        code=ErrorCode.MAX_TURNS,
        allowed_tools=["list_files"],
        sdk_options={"max_turns": 3},
    )
    assert (await run.row()).total_turns == 3
