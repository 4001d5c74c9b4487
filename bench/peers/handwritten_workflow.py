"""The bare minimum on Temporal: one activity per model and tool call, messages passed along."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow

CALL_LIMIT = timedelta(seconds=60)  # what Temporal's own samples give an activity


@workflow.defn
class Agent:
    """The loop as a workflow; its history is its only record."""

    def __init__(self) -> None:
        """Nobody has answered yet."""
        self._answer: str | None = None

    @workflow.signal
    def answer(self, text: str) -> None:
        """A person's answer."""
        self._answer = text

    @workflow.run
    async def run(self, prompt: str) -> str:
        """From the prompt to the final answer."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        while True:
            content: list[dict[str, Any]] = await workflow.execute_activity(
                "call_model", messages, start_to_close_timeout=CALL_LIMIT
            )
            messages.append({"role": "assistant", "content": content})
            calls = [block for block in content if block["type"] == "tool_use"]
            if not calls:
                return str(content[0]["text"])
            results = await asyncio.gather(*(self._run_tool(call) for call in calls))
            messages.append({"role": "user", "content": results})

    async def _run_tool(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["name"] == "ask_user":
            await workflow.wait_condition(lambda: self._answer is not None)
            text = str(self._answer)
        else:
            text = await workflow.execute_activity(
                "run_tool", call["name"], start_to_close_timeout=CALL_LIMIT
            )
        return {"type": "tool_result", "tool_use_id": call["id"], "content": text}
