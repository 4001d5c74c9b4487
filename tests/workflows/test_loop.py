"""The loop on the real engine: what its tests in memory can't show, end to end."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID

import pytest

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from persistence.blobs.directory import DirectoryBlobs
from persistence.tables.sessions import ArtifactRow
from tests.engine.driver import Engine, use
from tests.waiting import eventually

LISTING = {"tool_use": use("list_files")}
LISTS: dict[str, Any] = {"allowed_tools": ["list_files"]}
LAST_RESULT = {"text": "{last_tool_result}"}


async def test_an_answer_completes_the_execution(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "Hello."})
    row = await run.row()
    assert row.result_data == {"text": "Hello."}
    assert (row.summary, row.total_turns, row.total_messages) == ("Hello.", 1, 2)
    assert await run.event_types() == [
        "execution.created",
        "execution.started",
        "message.appended",
        "turn.started",
        "turn.completed",
        "message.appended",
        "execution.completed",
    ]


async def test_malformed_input_may_be_unstorable(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": {"name": "bash", "raw_input": "{\ud800 \0"}},
        {"text": "ok"},
        allowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert (call.status, "\0" in call.input) == ("failed", False)


async def test_a_large_integer_stays_exact(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": use("list_files", most=10**30)},
        {"text": "ok"},
        allowed_tools=["list_files"],
    )
    [call] = await run.tool_calls()
    assert json.loads(call.input) == {"most": 10**30}
    [_, (_, blocks), *_] = await run.blocks()
    assert [block["input"] for block in blocks if block["type"] == "tool_use"] == [{"most": 10**30}]


async def test_hostile_text_is_kept(engine: Engine) -> None:
    text = "nul \0, \ufffd, \u202e bidi, \x1b[31m"
    run = await engine.run_to_completion({"text": text.replace("\ufffd", "\ud800")})
    assert await run.text() == text
    assert "\0" not in ((await run.row()).summary or "")
    [_, (_, [block])] = await run.blocks()
    assert block["text"] == text


async def test_hostile_output_of_a_command(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": use("bash", command=r"printf 'a\0b\xff\xc3(\xed\xa0\x80z'")},
        {"text": "{last_tool_result}"},
        allowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert call.status == "succeeded"
    assert "\0" not in (call.output or "")
    assert "z" in await run.text()


async def test_a_hundred_megabytes_of_output(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": use("bash", command="yes 0123456789abcde | head -c 100000000; echo end")},
        {"text": "done"},
        allowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert call.status == "succeeded"
    assert len(call.output or "") < 100_000
    assert call.output_artifact_id is not None


async def test_a_prompt_of_five_megabytes(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"text": "read"}, variables={"much": "x" * 5_000_000}, prompt_template="{{ much }}"
    )
    assert "scripted model" in await run.text()


@pytest.mark.parametrize(("turns", "activities"), [(1, 5), (2, 3), (None, 1)])
async def test_segments_are_activities(engine: Engine, turns: int | None, activities: int) -> None:
    run = await engine.run_to_completion(
        {**LISTING, "repeat": 4}, {"text": "done"}, **LISTS, sdk_options={"segment_turns": turns}
    )
    events = json.loads(await run.history())["events"]
    scheduled = [e for e in events if "activityTaskScheduledEventAttributes" in e]
    assert len(scheduled) == activities
    assert len(engine.scripted.calls) >= 5
    assert [call.try_number for call in await run.model_calls()] == [1] * 5


async def test_a_full_worker_runs_all_executions(engine: Engine) -> None:
    runs = await asyncio.gather(
        *(engine.start({**LISTING, "repeat": 2}, {"text": "ok"}, **LISTS) for _ in range(20))
    )
    rows = await asyncio.gather(*(run.wait_for_end() for run in runs))
    assert {row.status for row in rows} == {ExecutionStatus.COMPLETED}


async def test_an_error_may_hold_what_postgres_refuses(engine: Engine) -> None:
    run = await engine.run_to_failure(
        {
            "error": {
                "status": 400,
                "type": "invalid_request_error",
                "message": "nul \0 half \ud800",
            }
        },
        code=ErrorCode.MODEL_REQUEST_INVALID,
    )
    assert "nul" in ((await run.row()).error_message or "")


async def test_a_timer_ends_with_a_cancel(engine: Engine) -> None:
    fault = {"status": 429, "type": "rate_limit_error", "retry_after": 250}
    run = await engine.start({"error": fault})
    row = await run.wait_until(lambda row: row.wakes_at)
    assert (row.status, row.status_reason) == (ExecutionStatus.RUNNING, "rate_limited")

    async def is_waiting() -> bool:
        progress = await run.handle.query("progress")
        return bool(progress["activity"] == f"waiting until {row.wakes_at:%F %T} UTC")

    await eventually(is_waiting, what="the timer of the workflow")
    await run.cancel()
    assert (await run.wait_for_end()).status == ExecutionStatus.CANCELLED


async def test_allowed_calls_run_at_once_and_their_results_are_in_order(engine: Engine) -> None:
    # Each waits for the other's file: one after the other they would time out.
    meet = "touch {0}; until [ -e {1} ]; do sleep 0.02; done; echo {0}"
    run = await engine.run_to_completion(
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


async def test_an_artifact_is_kept(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"tool_use": use("write_file", path="a.txt", content="hello")},
        {"tool_use": use("save_artifact", path="a.txt", name="A \u202e.txt")},
        LAST_RESULT,
        allowed_tools=["write_file", "save_artifact"],
    )
    _, saved = await run.tool_calls()
    [data] = [event.data for event in await run.events() if event.type == "artifact.saved"]
    async with engine.database.reading() as session:
        artifact = await session.get_one(ArtifactRow, UUID(data["artifact_id"]))
    assert (artifact.execution_id, artifact.tool_call_id) == (run.id, saved.id)
    assert (artifact.kind, artifact.name, artifact.size_bytes) == ("artifact", data["name"], 5)
    assert artifact.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert DirectoryBlobs(engine.home / "artifacts").path(artifact.sha256).read_bytes() == b"hello"


async def test_a_session_keeps_its_files(engine: Engine) -> None:
    first = await engine.run_to_completion(
        {"tool_use": use("write_file", path="kept", content="still here")},
        {"text": "done"},
        allowed_tools=["write_file"],
    )
    session_id = (await first.row()).session_id
    second = await engine.run_to_completion(
        {"tool_use": use("read_file", path="kept")},
        LAST_RESULT,
        session_id=session_id,
        allowed_tools=["read_file"],
    )
    assert second.id != first.id
    assert "still here" in await second.text()


async def test_no_tools_at_all(engine: Engine) -> None:
    run = await engine.run_to_completion({"tool_use": use("bash", command="id")}, LAST_RESULT)
    assert "The tools are: none." in await run.text()
    assert not (await run.workspace()).exists()
