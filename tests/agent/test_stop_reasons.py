"""What ends a turn: every stop reason, and answers of unexpected shapes."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ErrorCode
from tests.agent.in_memory.driver import Runner, Turn, use

CUT = "reached the output limit before this call was complete"


async def test_an_answer_completes_the_execution(runner: Runner) -> None:
    run = await runner.run_to_completion({"text": "Hello."})
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


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        ({"text": "I won't.", "stop_reason": "refusal"}, ErrorCode.MODEL_REFUSED),
        ({"stop_reason": "refusal"}, ErrorCode.MODEL_REFUSED),
        (
            {"text": "Too", "stop_reason": "model_context_window_exceeded"},
            ErrorCode.CONTEXT_EXCEEDED,
        ),
        ({"text": "Hm", "stop_reason": "a_word_from_next_year"}, ErrorCode.MODEL_ERROR),
        ({"text": "Hm", "stop_reason": "nul \0 and half a pair \ud800"}, ErrorCode.MODEL_ERROR),
        ({"stop_reason": "max_tokens"}, ErrorCode.MAX_TOKENS),
    ],
)
async def test_stop_reasons_that_fail(runner: Runner, turn: Turn, code: ErrorCode) -> None:
    run = await runner.run_to_failure(turn, code=code)
    assert (await run.row()).result_data is None
    assert len(await run.model_calls()) == 1


async def test_a_stop_sequence_is_an_answer(runner: Runner) -> None:
    run = await runner.run_to_completion({"text": "Up to here", "stop_reason": "stop_sequence"})
    assert await run.text() == "Up to here"


async def test_a_refused_turn_runs_no_tool(runner: Runner) -> None:
    turn = {"tool_use": use("write_file", path="a", content="a"), "stop_reason": "refusal"}
    run = await runner.run_to_failure(
        turn, code=ErrorCode.MODEL_REFUSED, allowed_tools=["write_file"]
    )
    assert not await run.tool_calls()


async def test_a_cut_answer_is_continued(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"text": "One, two", "stop_reason": "max_tokens"}, {"text": ", three."}
    )
    assert await run.text() == ", three."
    roles = [role for role, _ in await run.blocks()]
    assert roles == ["user", "assistant", "user", "assistant"]


async def test_a_cut_tool_call_is_not_run(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {
            "tool_use": [use("write_file", path="a", content="1"), use("read_file", path="a")],
            "stop_reason": "max_tokens",
        },
        {"text": "{last_tool_result}"},
        allowed_tools=["write_file", "read_file"],
    )
    assert CUT in await run.text()
    assert [result["is_error"] for result in await run.results()] == [True, True]
    assert not await run.tool_calls()


async def test_an_answer_that_is_always_incomplete_fails(runner: Runner) -> None:
    turn = {"text": "more", "stop_reason": "max_tokens", "repeat": 20}
    run = await runner.run_to_failure(turn, code=ErrorCode.MAX_TOKENS)
    assert len(await run.model_calls()) == 11


async def test_a_paused_turn_continues(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"text": "I search.", "stop_reason": "pause_turn"}, {"text": "Found it."}
    )
    assert await run.text() == "Found it."
    assert [role for role, _ in await run.blocks()] == ["user", "assistant", "assistant"]


async def test_a_turn_that_always_pauses_fails(runner: Runner) -> None:
    turn = {"text": "on", "stop_reason": "pause_turn", "repeat": 20}
    run = await runner.run_to_failure(turn, code=ErrorCode.MAX_TOKENS)
    assert len(await run.model_calls()) == 11


@pytest.mark.parametrize(
    "turn", [{"stop_reason": "end_turn"}, {"stop_reason": "tool_use"}, {"text": "  "}]
)
async def test_an_empty_answer_is_an_answer(runner: Runner, turn: Turn) -> None:
    run = await runner.run_to_completion(turn)
    assert (await run.text()).strip() == ""
    assert len(await run.model_calls()) == 1


@pytest.mark.parametrize("turn", [{"stop_reason": "end_turn"}, {"text": "  "}])
async def test_an_empty_answer_does_not_spoil_the_conversation(runner: Runner, turn: Turn) -> None:
    first = await runner.run_to_completion(turn)
    session_id = (await first.row()).session_id
    await runner.run_to_completion({"text": "Still here."}, session_id=session_id)


async def test_malformed_input_goes_back_to_the_model(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": {"name": "bash", "raw_input": '{"command": "touch x'}},
        {"text": "{last_tool_result}"},
        allowed_tools=["bash"],
    )
    assert "not valid JSON" in await run.text()
    [call] = await run.tool_calls()
    assert (call.status, call.started_at) == ("failed", None)
    assert call.input == '{"command": "touch x'


async def test_an_input_of_the_wrong_shape_goes_back(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": [use("bash", cmd="ls"), use("bash", command=7)]},
        {"text": "ok"},
        allowed_tools=["bash"],
    )
    assert [(c.status, c.started_at) for c in await run.tool_calls()] == [("failed", None)] * 2


@pytest.mark.parametrize("name", ["no_such_tool", "read_file", "nul \0 \ud800"])
async def test_a_tool_that_is_not_offered_goes_back(runner: Runner, name: str) -> None:
    run = await runner.run_to_completion(
        {"tool_use": use(name, path="x")}, {"text": "{last_tool_result}"}, allowed_tools=["bash"]
    )
    assert "The tools are: bash." in await run.text()


async def test_hostile_text_is_kept_to_the_byte(runner: Runner) -> None:
    text = "nul \0, half a pair \ud800, \u202e bidi, \x1b[31m"
    run = await runner.run_to_completion({"text": text})
    assert await run.text() == text
    assert "\0" not in ((await run.row()).summary or "")
    [_, (_, [block])] = await run.blocks()
    assert block["text"] == text


async def test_output_of_a_shape(runner: Runner) -> None:
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    options = {"output_schema": shape}
    run = await runner.run_to_completion({"text": '{"n": 3}'}, sdk_options=options)
    assert ((await run.row()).result_data or {})["output"] == {"n": 3}
    for text in ('{"n": "three"}', "three"):
        await runner.run_to_failure(
            {"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID
        )


@pytest.mark.parametrize("text", ['{"n": NaN}', '{"n": 1e999}', "[" * 3000, "[" * 300 + "]" * 300])
async def test_output_that_cannot_be_kept_ends_the_execution_at_once(
    runner: Runner, text: str
) -> None:
    options: dict[str, Any] = {"output_schema": {}}
    run = await runner.run_to_failure(
        {"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID
    )
    assert len(await run.model_calls()) == 1


async def test_a_shape_that_cannot_be_had_ends_the_execution_and_fetches_nothing(
    runner: Runner, tmp_path: Path
) -> None:
    there = tmp_path / "schema.json"
    there.write_text("{}")
    shapes = [
        {"$ref": there.as_uri()},  # a file of the worker's, which would allow everything
        {"x": {"type": 5}, "$ref": "#/x"},
        {"properties": {"n": {"pattern": "(a+)+$"}}},
    ]
    text = json.dumps({"n": "a" * 60 + "b"})
    for shape in shapes:
        options = {"output_schema": shape}
        await runner.run_to_failure(
            {"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID
        )
