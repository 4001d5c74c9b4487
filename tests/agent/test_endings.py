"""What ends a turn, over real HTTP: every stop reason, and answers nobody would expect."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ErrorCode
from tests.engine.driver import Engine, Turn, use

CUT = "was cut at the output limit before this call was complete"


async def test_an_answer_completes_the_execution(engine: Engine) -> None:
    run = await engine.completed({"text": "Hello."})
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
async def test_stop_reasons_that_fail(engine: Engine, turn: Turn, code: ErrorCode) -> None:
    run = await engine.failed(turn, code=code)
    assert (await run.row()).result_data is None
    assert len(await run.model_calls()) == 1


async def test_a_stop_sequence_is_an_answer(engine: Engine) -> None:
    run = await engine.completed({"text": "Up to here", "stop_reason": "stop_sequence"})
    assert await run.text() == "Up to here"


async def test_a_refused_turn_runs_no_tool(engine: Engine) -> None:
    turn = {"tool_use": use("write_file", path="a", content="a"), "stop_reason": "refusal"}
    run = await engine.failed(turn, code=ErrorCode.MODEL_REFUSED, allowed_tools=["write_file"])
    assert not await run.tool_calls()


async def test_a_cut_answer_is_continued(engine: Engine) -> None:
    run = await engine.completed(
        {"text": "One, two", "stop_reason": "max_tokens"}, {"text": ", three."}
    )
    assert await run.text() == ", three."
    roles = [role for role, _ in await run.blocks()]
    assert roles == ["user", "assistant", "user", "assistant"]


async def test_a_cut_tool_call_is_not_run(engine: Engine) -> None:
    run = await engine.completed(
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


async def test_cut_for_ever_is_given_up(engine: Engine) -> None:
    turn = {"text": "more", "stop_reason": "max_tokens", "repeat": 20}
    run = await engine.failed(turn, code=ErrorCode.MAX_TOKENS)
    assert len(await run.model_calls()) == 11


async def test_a_paused_turn_goes_on(engine: Engine) -> None:
    run = await engine.completed(
        {"text": "I search.", "stop_reason": "pause_turn"}, {"text": "Found it."}
    )
    assert await run.text() == "Found it."
    assert [role for role, _ in await run.blocks()] == ["user", "assistant", "assistant"]


async def test_paused_for_ever_is_given_up(engine: Engine) -> None:
    turn = {"text": "on", "stop_reason": "pause_turn", "repeat": 20}
    run = await engine.failed(turn, code=ErrorCode.MAX_TOKENS)
    assert len(await run.model_calls()) == 11


@pytest.mark.parametrize(
    "turn", [{"stop_reason": "end_turn"}, {"stop_reason": "tool_use"}, {"text": "  "}]
)
async def test_an_empty_answer_is_an_answer(engine: Engine, turn: Turn) -> None:
    run = await engine.completed(turn)
    assert (await run.text()).strip() == ""
    assert len(await run.model_calls()) == 1


@pytest.mark.parametrize("turn", [{"stop_reason": "end_turn"}, {"text": "  "}])
async def test_an_empty_answer_does_not_spoil_the_conversation(engine: Engine, turn: Turn) -> None:
    first = await engine.completed(turn)
    session_id = (await first.row()).session_id
    await engine.completed({"text": "Still here."}, session_id=session_id)


async def test_malformed_input_goes_back_to_the_model(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": {"name": "bash", "raw_input": '{"command": "touch x'}},
        {"text": "{last_tool_result}"},
        allowed_tools=["bash"],
    )
    assert "not valid JSON" in await run.text()
    [call] = await run.tool_calls()
    assert (call.status, call.started_at) == ("failed", None)
    assert call.input == '{"command": "touch x'


async def test_malformed_input_may_be_unstorable(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": {"name": "bash", "raw_input": "{\ud800 \0"}},
        {"text": "ok"},
        allowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert (call.status, "\0" in call.input) == ("failed", False)


async def test_an_input_of_the_wrong_shape_goes_back(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": [use("bash", cmd="ls"), use("bash", command=7)]},
        {"text": "ok"},
        allowed_tools=["bash"],
    )
    assert [(c.status, c.started_at) for c in await run.tool_calls()] == [("failed", None)] * 2


@pytest.mark.parametrize("name", ["no_such_tool", "read_file", "nul \0 \ud800"])
async def test_a_tool_that_is_not_offered_goes_back(engine: Engine, name: str) -> None:
    run = await engine.completed(
        {"tool_use": use(name, path="x")}, {"text": "{last_tool_result}"}, allowed_tools=["bash"]
    )
    assert "The tools are: bash." in await run.text()


async def test_hostile_text_is_kept_to_the_byte(engine: Engine) -> None:
    text = "nul \0, half a pair \ud800, \u202e bidi, \x1b[31m"
    run = await engine.completed({"text": text})
    assert await run.text() == text
    assert "\0" not in ((await run.row()).summary or "")
    [_, (_, [block])] = await run.blocks()
    assert block["text"] == text


async def test_hostile_output_of_a_command(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": use("bash", command=r"printf 'a\0b\xff\xc3(\xed\xa0\x80z'")},
        {"text": "{last_tool_result}"},
        allowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert call.status == "succeeded"
    assert "\0" not in (call.output or "")
    assert "z" in await run.text()


async def test_a_hundred_megabytes_of_output(engine: Engine) -> None:
    run = await engine.completed(
        {"tool_use": use("bash", command="yes 0123456789abcde | head -c 100000000; echo end")},
        {"text": "done"},
        allowed_tools=["bash"],
    )
    [call] = await run.tool_calls()
    assert call.status == "succeeded"
    assert len(call.output or "") < 100_000
    assert call.output_artifact_id is not None


async def test_a_prompt_of_five_megabytes(engine: Engine) -> None:
    run = await engine.completed(
        {"text": "read"}, variables={"much": "x" * 5_000_000}, prompt_template="{{ much }}"
    )
    assert "scripted model" in await run.text()


async def test_output_of_a_shape(engine: Engine) -> None:
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    options = {"output_schema": shape}
    run = await engine.completed({"text": '{"n": 3}'}, sdk_options=options)
    assert ((await run.row()).result_data or {})["output"] == {"n": 3}
    for text in ('{"n": "three"}', "three"):
        await engine.failed({"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID)


@pytest.mark.parametrize("text", ['{"n": NaN}', '{"n": 1e999}', "[" * 3000, "[" * 300 + "]" * 300])
async def test_output_that_cannot_be_kept_ends_the_execution_at_once(
    engine: Engine, text: str
) -> None:
    options: dict[str, Any] = {"output_schema": {}}
    run = await engine.failed({"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID)
    assert len(await run.model_calls()) == 1


async def test_a_shape_that_cannot_be_had_ends_the_execution_and_fetches_nothing(
    engine: Engine, tmp_path: Path
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
        await engine.failed({"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID)
