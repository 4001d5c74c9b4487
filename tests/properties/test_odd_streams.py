"""Whatever a model or a proxy sends: each answer is paid once, recorded, and can be built upon."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from tests.agent.in_memory.driver import Runner

Event = dict[str, Any]

TOOLS = ["list_files", "write_file"]

FAILURES = {
    ErrorCode.EMPTY_ANSWER,
    ErrorCode.MODEL_ERROR,  # an unknown stop reason
    ErrorCode.MODEL_REFUSED,
    ErrorCode.CONTEXT_EXCEEDED,
    ErrorCode.MAX_TOKENS,
}
"""How an execution may fail after an odd message; `worker_error` would be our fault."""

_JUNK: list[Any] = [
    *(None, True, -1, 0, 1.5, 12.0, 10**20, -5_000_000, float("nan"), float("inf")),
    *("", " ", "x", "\ud800", "\0", "a.b:c", "tool_use", "text", "call_0", "{}", "x" * 300),
    *([], {}, [[]], {"\udfff": "\ud83d"}, [{"type": "text"}], {"type": "thinking"}),
]
JUNK = st.sampled_from(_JUNK)
TEXTS = st.sampled_from(["hi", "", " ", "\n", "A\ud99c", "\0", '{"a": 1}', "漢字 👋"])
IDS = st.sampled_from(["call_0", "call_1", "toolu_1", "functions.x:0", "", None, 5])
NAMES = st.sampled_from([*TOOLS, "bash", "", "a b", None, "list_files "])
INPUTS = st.sampled_from(
    [
        *("", "{}", "null", "[]", '"x"', '{"path": ', '{"a": NaN}', "[" * 400),
        *('{"path": "f", "content": "x"}', '{"path": "\\ud800", "content": "\\udfff"}'),
        '{"\\ud800": 1}',
    ]
)
STOP_REASONS = st.sampled_from(
    [
        *("end_turn", "end_turn", "end_turn", "tool_use", "tool_use", "max_tokens"),
        *("stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded"),
        *("new", "", None),
    ]
)


@st.composite
def blocks(draw: st.DrawFn, index: int) -> list[Event]:
    """The events of one block."""
    kind = draw(st.sampled_from(["text", "text", "thinking", "tool_use", "redacted_thinking"]))
    block: Event = {"type": kind}
    deltas: list[Event] = []
    match kind:
        case "text":
            block["text"] = ""
            deltas = [{"type": "text_delta", "text": draw(TEXTS)} for _ in range(2)]
        case "thinking":
            block |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": draw(TEXTS)}]
        case "tool_use":
            block |= {"id": draw(IDS), "name": draw(NAMES), "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": draw(INPUTS)}]
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


@st.composite
def messages(draw: st.DrawFn) -> list[Event]:
    """The events of a whole message, without the last one."""
    usage = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 4}
    start = {"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": usage}}
    content = [e for n in range(draw(st.integers(0, 3))) for e in draw(blocks(n))]
    delta = {"stop_reason": draw(STOP_REASONS)}
    return [
        start,
        *content,
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}},
    ]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys.

    A signature is left as it is: only the API can recognise a forged one.
    """
    if not isinstance(value, dict):
        return []
    inner = [place for item in value.values() for place in places(item)]
    return [*((value, key) for key in value if key != "signature"), *inner]


@st.composite
def odd_bodies(draw: st.DrawFn) -> str:
    """A whole message with some changes, which always ends with `message_stop`."""
    events = copy.deepcopy(draw(messages()))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(events) - 1))
        match draw(st.sampled_from(["set", "set", "drop", "add", "remove", "repeat", "swap"])):
            case "set":
                container, key = draw(st.sampled_from(places(events[at]) or [({}, "x")]))
                container[key] = copy.deepcopy(draw(JUNK))
            case "drop":
                container, key = draw(st.sampled_from(places(events[at]) or [({"x": 1}, "x")]))
                del container[key]
            case "add":
                container, _ = draw(st.sampled_from(places(events[at]) or [({}, "x")]))
                container["extra"] = copy.deepcopy(draw(JUNK))
            case "remove" if len(events) > 1:
                del events[at]
            case "repeat":
                events.insert(at, copy.deepcopy(events[at]))
            case "swap":
                events[at], events[-1] = events[-1], events[at]
    return _encode(draw, [*events, {"type": "message_stop"}])


def _encode(draw: st.DrawFn, events: list[Event]) -> str:
    has_names, end = draw(st.booleans()), draw(st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n"]))
    noise = st.sampled_from(["", "", "", ": x", "data: [DONE]", "data: 7", "data: {]", "id: 1"])
    parts = [
        (f"event: {event.get('type')}{end[: len(end) // 2]}" if has_names and end != "\n" else "")
        + f"data: {json.dumps(event)}{end}{(line := draw(noise)) and line + end}"
        for event in events
    ]
    return draw(st.sampled_from(["", "\ufeff"])) + "".join(parts) + draw(st.sampled_from(["", end]))


async def check_message(body: str) -> None:
    """Run an execution on the answer, and another one in the same session."""
    runner = Runner()
    try:
        turn: Mapping[str, Any] = {"raw": body}
        run = await runner.run_to_end(turn, turn, {"text": "done"}, allowed_tools=TOOLS)
        row = await run.row()
        calls = await run.model_calls()
        assert row.status is ExecutionStatus.COMPLETED or row.error_code in FAILURES
        assert {call.status for call in calls} == {"succeeded"}
        assert {call.try_number for call in calls} == {1}
        assert all((call.cost_usd or 0) >= 0 for call in calls)
        following = await runner.run_to_completion(
            {"text": "Still here."}, session_id=row.session_id
        )
        assert await following.text() == "Still here."
    finally:
        await runner.close()


@given(body=odd_bodies())
async def test_an_odd_message_is_paid_once_and_spoils_nothing(body: str) -> None:
    await check_message(body)


@pytest.mark.long
@pytest.mark.timeout(3600)  # 10,000 executions, on a machine that other work shares
@settings(max_examples=10_000)
@given(body=odd_bodies())
async def test_ten_thousand_odd_messages(body: str) -> None:
    await check_message(body)


@given(body=st.text(max_size=200) | st.binary(max_size=200), status=st.integers(200, 299))
async def test_what_is_no_message_is_asked_for_once(body: str | bytes, status: int) -> None:
    runner = Runner()
    try:
        turn = {"raw": body if isinstance(body, str) else body.decode("latin-1"), "status": status}
        run = await runner.run_to_failure(turn, code=ErrorCode.MODEL_ERROR)
        assert len(await run.model_calls()) == 1
    finally:
        await runner.close()
