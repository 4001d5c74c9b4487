"""Compaction: the summary of a conversation is stored, sent back unchanged, counted and paid."""

import json
from typing import Any

from claude.normalisation import normalise_usage
from domain.model.calls import Usage
from domain.model.pricing import estimate_tokens
from tests.agent.in_memory.driver import Runner, use

SUMMARY = {"type": "compaction", "content": "So far: nothing.", "encrypted_content": "x+/="}
COUNTS = {"input_tokens": 180_000, "output_tokens": 3_500}
COMPACTED: dict[str, Any] = {
    "blocks": [SUMMARY],
    "tool_use": use("list_files"),
    "usage": {"input_tokens": 23_000, "output_tokens": 1_000, "cache_read_input_tokens": 0}
    | {"cache_creation_input_tokens": 0, "cache_creation": None}
    | {"iterations": [{"type": "compaction", **COUNTS}, {"type": "message", "input_tokens": 9}]},
}
OPTIONS: dict[str, Any] = {"model": "claude-opus-5-5", "compaction_tokens": 50_000}
LONG_BYTES = 200_000


async def test_a_summary_is_sent_back_counted_and_replaces_what_was_before(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"size": LONG_BYTES, "tool_use": use("list_files")},
        COMPACTED,
        {"text": "done"},
        allowed_tools=["list_files"],
        sdk_options=OPTIONS,
    )
    first, second, third = (json.loads(body) for body in runner.model.requests)
    trigger = {"type": "input_tokens", "value": 50_000}
    edits = {"edits": [{"type": "compact_20260112", "trigger": trigger}]}
    assert [body["context_management"] for body in (first, second, third)] == [edits] * 3
    assert third["messages"][3]["content"][0] == SUMMARY
    assert third["messages"][:3] == second["messages"]
    calls = await run.model_calls()
    row = await run.row()
    assert (row.input_tokens, row.output_tokens) == (
        sum(call.usage["input_tokens"] for call in calls if call.usage),
        sum(call.usage["output_tokens"] for call in calls if call.usage),
    )
    assert calls[1].usage is not None
    assert calls[1].usage["input_tokens"] == 23_000 + COUNTS["input_tokens"]
    assert calls[1].usage["output_tokens"] == 1_000 + COUNTS["output_tokens"]
    assert estimate_tokens(LONG_BYTES) > OPTIONS["compaction_tokens"]
    before, compacted, after = (call.estimate_usd or 0 for call in calls)
    assert compacted > 2 * before  # it may read the conversation twice
    assert after < 2 * before


async def test_another_prefix_sends_the_conversation_without_the_summary(runner: Runner) -> None:
    compacted = {**COMPACTED, "tool_use": (), "text": "done"}
    run = await runner.run_to_completion(compacted, sdk_options=OPTIONS)
    session_id = (await run.row()).session_id
    await runner.run_to_completion({"text": "again"}, session_id=session_id)
    last = json.loads(runner.model.requests[-1])
    assert "context_management" not in last
    assert [block["type"] for block in last["messages"][1]["content"]] == ["text"]


def test_odd_iterations_are_not_counted() -> None:
    assert normalise_usage({"input_tokens": 1, "output_tokens": 2, "iterations": "x"}) == (
        Usage(input_tokens=1, output_tokens=2),
        True,
    )
    odd = {"input_tokens": 1, "output_tokens": 2, "iterations": [7, {"type": "compaction"}]}
    assert normalise_usage(odd) == (Usage(input_tokens=1, output_tokens=2), True)
    odd["iterations"] = [{"type": "compaction", "input_tokens": "many"}]
    assert normalise_usage(odd) == (Usage(input_tokens=1, output_tokens=2), False)
