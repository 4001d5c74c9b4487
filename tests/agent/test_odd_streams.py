"""What the loop makes of odd answers: each is paid once, recorded, and spoils no conversation."""

import json

import pytest

from domain.errors import ErrorCode
from tests.agent.in_memory.driver import InMemoryRun, Runner
from tests.streams import ODD_STREAMS, OddStream

TOOLS = ["list_files", "write_file"]


@pytest.mark.parametrize("odd", ODD_STREAMS, ids=lambda odd: odd.name)
async def test_an_odd_answer(odd: OddStream, runner: Runner) -> None:
    first = await runner.run_to_end(odd.turn, {"text": "done"}, allowed_tools=TOOLS)
    await check(first, odd)
    session_id = (await first.row()).session_id
    again = await runner.run_to_end(
        odd.turn, {"text": "done"}, allowed_tools=TOOLS, session_id=session_id
    )
    await check(again, odd)
    last = await runner.run_to_completion({"text": "Still here."}, session_id=session_id)
    assert await last.text() == "Still here."


async def check(run: InMemoryRun, odd: OddStream) -> None:
    row, expect = await run.row(), odd.expect
    calls = await run.model_calls()
    has_next = bool(expect.calls) or expect.continues
    assert (row.error_code, len(calls)) == (expect.error_code, 1 + has_next), row.error_message
    assert [call.status for call in calls][1:] == ["succeeded"] * has_next
    assert (calls[0].status == "failed") == (expect.error_kind is not None)
    assert row.cost_usd >= 0
    assert calls[0].usage_estimated == expect.is_estimated
    tools = await run.tool_calls()
    assert [tool.name for tool in tools] == list(expect.calls)
    assert sum(tool.status == "failed" for tool in tools) == expect.failed_calls
    if row.error_code is None:
        assert await run.text() == ("done" if has_next else expect.text)


async def test_a_page_is_quoted_in_the_error(runner: Runner) -> None:
    page = next(odd for odd in ODD_STREAMS if odd.name == "other_page")
    run = await runner.run_to_failure(page.turn, code=ErrorCode.MODEL_ERROR)
    message = (await run.row()).error_message or ""
    assert "text/html" in message
    assert "<html>Sign in</html>" in message


async def test_repeated_ids_keep_each_output_with_its_call(runner: Runner) -> None:
    """One id in two turns, and again in the next execution of the session."""

    def turn(text: str) -> dict[str, str]:
        call = {"type": "tool_use", "id": "call_0", "name": "bash", "input": {"command": text}}
        message = {"type": "message", "model": "m", "content": [call]}
        return {"raw": json.dumps(message)}

    turns = [turn("echo 1"), turn("echo 2"), {"text": "done"}]
    run = await runner.run_to_completion(*turns, allowed_tools=["bash"])
    session_id = (await run.row()).session_id
    run = await runner.run_to_completion(*turns, allowed_tools=["bash"], session_id=session_id)
    sent = json.loads(runner.model.requests[-1])["messages"]
    blocks = [block for message in sent for block in message["content"]]
    results = {b["tool_use_id"]: b["content"] for b in blocks if b["type"] == "tool_result"}
    calls = [block for block in blocks if block["type"] == "tool_use"]
    assert len(results) == len(calls) == 4
    for call in calls:
        assert results[call["id"]].startswith(call["input"]["command"].removeprefix("echo "))
    recorded = {tool.tool_use_id for tool in await run.tool_calls()}
    assert recorded < set(results)
