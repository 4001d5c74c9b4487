"""The job of every system; the prompt contains the script for the scripted model."""

import json
import secrets
from dataclasses import dataclass

TOOL_NAME = "list_files"
"""In-process and read-only on every side: `tools/listing.py` is ours, `peers/agent.py` the peers'.

Workspaces begin empty, so both sides look into an empty directory."""


@dataclass(frozen=True, slots=True)
class Job:
    """`tool_turns` turns with one tool call each, then a final answer.

    `delay_ms` is the model's latency, `size_bytes` what it says in each turn. With `asks` the first
    turn asks a person instead and waits for the answer; with `runs` it runs that in a shell.
    """

    tool_turns: int = 3
    delay_ms: int = 0
    size_bytes: int = 0
    asks: bool = False
    runs: str = ""

    @property
    def model_calls(self) -> int:
        """Calls of one undisturbed execution."""
        return self.tool_turns + 1

    @property
    def tool(self) -> str:
        """The tool its turns call."""
        return "bash" if self.runs else "ask_user" if self.asks else TOOL_NAME

    def prompt(self, nonce: str) -> str:
        """A first message that no other execution has, so that the log can distinguish them."""
        tool_input = '{question: "Which way?"}' if self.asks else "{}"
        if self.runs:
            tool_input = f"{{command: {json.dumps(self.runs)}}}"
        tools = (
            f"- text: I look around first.\n"
            f"  size: {self.size_bytes}\n"
            f"  delay_ms: {self.delay_ms}\n"
            f"  tool_use: {{name: {self.tool}, input: {tool_input} }}\n"
            f"  repeat: {self.tool_turns}\n"
        )
        return (
            f"This is execution {nonce}.\n\n```script\n"
            f"{tools if self.tool_turns else ''}"
            f"- text: That is all there is.\n"
            f"  delay_ms: {self.delay_ms}\n"
            "```"
        )


def fresh_nonces(count: int) -> list[str]:
    """Names no execution had before."""
    return [f"bench-{secrets.token_hex(8)}" for _ in range(count)]
