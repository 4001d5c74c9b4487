"""What ends a turn: every stop reason, and answers of unexpected shapes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ErrorCode
from tests.agent.in_memory.driver import Runner, Turn, script, use

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


EMPTY: Sequence[Turn] = (
    {"stop_reason": "end_turn"},
    {"stop_reason": "tool_use"},
    {"text": "  "},
    {"text": "\n"},
    {"thinking": "Done."},
    {"blocks": [{"type": "text"}, {"type": "thinking", "thinking": "unsigned"}]},
)
"""Turns that end without text."""


@pytest.mark.parametrize("turn", EMPTY)
async def test_an_answer_without_any_text_is_a_failure_of_its_own(
    runner: Runner, turn: Turn
) -> None:
    run = await runner.run_to_failure(turn, code=ErrorCode.EMPTY_ANSWER)
    assert len(await run.model_calls()) == 1
    assert (await run.row()).result_data is None


@pytest.mark.parametrize("turn", EMPTY)
async def test_the_last_text_is_the_answer_if_the_final_turn_is_empty(
    runner: Runner, turn: Turn
) -> None:
    answer = {"text": "The answer is 42.", "tool_use": use("write_file", path="n", content="x")}
    run = await runner.run_to_completion(answer, turn, allowed_tools=["write_file"])
    row = await run.row()
    assert (row.result_data, row.summary) == ({"text": "The answer is 42."}, "The answer is 42.")


@pytest.mark.parametrize("turn", EMPTY)
async def test_an_empty_answer_does_not_spoil_the_conversation(runner: Runner, turn: Turn) -> None:
    first = await runner.run_to_failure(turn, code=ErrorCode.EMPTY_ANSWER)
    session_id = (await first.row()).session_id
    second = await runner.run_to_completion({"text": "Still here."}, session_id=session_id)
    assert await second.text() == "Still here."
    third = await runner.run_to_failure(turn, code=ErrorCode.EMPTY_ANSWER, session_id=session_id)
    assert (await third.row()).result_data is None  # the text of another execution does not count


async def test_output_beside_the_last_tool_call_counts(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"text": '{"a": 1}', "tool_use": use("list_files")},
        {"text": ""},
        allowed_tools=["list_files"],
        sdk_options={"output_schema": {"type": "object"}},
    )
    assert (await run.row()).result_data == {"text": '{"a": 1}', "output": {"a": 1}}


async def test_a_parent_reads_the_last_text_of_its_subtask(runner: Runner) -> None:
    def delegate(*turns: Turn) -> Turn:
        child = {"title": "c", "prompt": script(*turns)}
        return {"tool_use": {"name": "delegate", "input": child}}

    last = {"text": "{last_tool_result}"}
    found: list[Turn] = [
        {"text": "Found.", "tool_use": use("list_files")},
        {"stop_reason": "end_turn"},
    ]
    tools = ["delegate", "list_files"]
    run = await runner.run_to_completion(delegate(*found), last, allowed_tools=tools)
    assert await run.text() == "Found."
    run = await runner.run_to_completion(delegate({"text": " "}), last, allowed_tools=tools)
    assert "empty_answer" in await run.text()


@pytest.mark.parametrize("stop_reason", ["end_turn", "stop_sequence", "pause_turn", ""])
async def test_a_tool_call_runs_whatever_reason_is_given(runner: Runner, stop_reason: str) -> None:
    run = await runner.run_to_completion(
        {"tool_use": use("write_file", path="f", content="hi"), "stop_reason": stop_reason},
        {"text": "done"},
        allowed_tools=["write_file"],
    )
    assert (run.files, await run.text()) == ({"f": "hi"}, "done")
    assert len(await run.model_calls()) == 2


async def test_a_question_under_end_turn_is_asked(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": use("ask_user", question="Well?"), "stop_reason": "end_turn"},
        {"text": "{last_tool_result}"},
        allowed_tools=["ask_user"],
    )
    request = await run.wait_for_request()
    await run.answer(request, values={"answer": "Yes."})
    await run.wait_for_end()
    assert await run.text() == "Yes."


@pytest.mark.parametrize(
    ("stop_reason", "code"),
    [("refusal", ErrorCode.MODEL_REFUSED), ("new_reason", ErrorCode.MODEL_ERROR)],
)
async def test_a_call_that_was_not_run_does_not_spoil_the_conversation(
    runner: Runner, stop_reason: str, code: ErrorCode
) -> None:
    turn = {"text": "I", "tool_use": use("list_files"), "stop_reason": stop_reason}
    first = await runner.run_to_failure(turn, code=code, allowed_tools=["list_files"])
    session_id = (await first.row()).session_id
    await runner.run_to_completion({"text": "On."}, session_id=session_id)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "thinking", "thinking": "x"},
        {"type": "thinking", "thinking": "x", "signature": 5},
        {"type": "thinking", "thinking": "x", "signature": " "},
        {"type": "redacted_thinking"},
        {"type": "redacted_thinking", "data": ""},
        {"type": "tool_result", "tool_use_id": "a", "content": "b"},
        {"type": "image", "source": {}},
        {"type": "text", "text": " "},
    ],
)
@pytest.mark.parametrize(
    ("turn", "more"),
    [
        ({"stop_reason": "max_tokens"}, [{"text": "on"}]),
        ({"text": "on"}, []),
        ({"text": "a", "tool_use": use("list_files")}, [{"text": "on"}]),
        ({"text": "a", "stop_reason": "pause_turn"}, [{"text": "on"}]),
    ],
)
async def test_blocks_that_the_api_refuses_are_not_sent_back(
    runner: Runner, block: dict[str, Any], turn: Turn, more: list[Turn]
) -> None:
    turns = [{**turn, "blocks": [block]}, *more]
    run = await runner.run_to_completion(*turns, allowed_tools=["list_files"])
    assert (await run.text()).strip() == "on"
    assert len(await run.model_calls()) == len(turns)
    [_, (_, blocks), *_] = await run.blocks()
    assert blocks[0]["type"] == block["type"]  # the record keeps it
    session_id = (await run.row()).session_id
    await runner.run_to_completion({"text": "Still here."}, session_id=session_id)


async def test_signed_thinking_without_text_stays(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"thinking": "", "text": "a", "stop_reason": "max_tokens"}, {"text": "b"}
    )
    [sent] = [m for m in json.loads(runner.model.requests[-1])["messages"] if m["role"] != "user"]
    assert sent["content"][0]["type"] == "thinking"
    assert len(await run.model_calls()) == 2


async def test_a_paused_turn_without_a_server_tool_is_continued_by_a_message(
    runner: Runner,
) -> None:
    paused = {"type": "message", "model": "m", "stop_reason": "pause_turn"}
    raw = json.dumps({**paused, "content": [{"type": "text", "text": "I search."}]})
    run = await runner.run_to_completion({"raw": raw}, {"text": "Found it."})
    assert await run.text() == "Found it."
    assert [role for role, _ in await run.blocks()] == ["user", "assistant"] * 2


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


async def test_hostile_text_is_kept(runner: Runner) -> None:
    text = "nul \0, \u202e bidi, \x1b[31m"
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


@pytest.mark.parametrize(
    "text",
    [
        'Here you are:\n```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```\nThat is all.',
        '~~~~JSON\r\n{"a": 1}\r\n~~~~\r\n',
        '\ufeff{"a": 1}',
        '\n {"a": 1}\n\n',
        '```python\nprint({})\n```\n```json\n\ufeff{"a": 1}\n```',
        '   ```json  \n{\n  "a": 1\n}\n   ```',
    ],
)
async def test_output_in_an_unambiguous_fence(runner: Runner, text: str) -> None:
    options = {"output_schema": {"type": "object", "required": ["a"]}}
    run = await runner.run_to_completion({"text": text}, sdk_options=options)
    assert (await run.row()).result_data == {"text": text, "output": {"a": 1}}


async def test_output_with_half_a_pair_of_surrogates(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"text": r'{"\ud800": "\udfff"}'}, sdk_options={"output_schema": {}}
    )
    assert ((await run.row()).result_data or {})["output"] == {"\ufffd": "\ufffd"}


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```',
        '```json\n{"a": NaN}\n```',
        '```json\n{"a": 1}',
        '```json\n{"b": 1}\n```',
        '{"a": 1} is it.',
        "None.",
    ],
)
async def test_output_that_is_invalid_is_kept_as_text(runner: Runner, text: str) -> None:
    options = {"output_schema": {"type": "object", "required": ["a"]}}
    run = await runner.run_to_failure(
        {"text": text}, sdk_options=options, code=ErrorCode.OUTPUT_INVALID
    )
    row = await run.row()
    assert (row.result_data, row.summary) == ({"text": text}, text)
    assert len(await run.model_calls()) == 1


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
