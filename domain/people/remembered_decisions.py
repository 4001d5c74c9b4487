"""Remembered decisions: rules that a person stored with an answer, for calls like the one they saw.

A rule decides a call that would need approval. It never widens: the tool must be the same one with
the same reach, and the input the same, or one that the confirmed pattern covers.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from domain.mcp.tools import PinnedTool
from domain.model.calls import Prefix
from domain.rules.entries import COMMAND_TOOL, DOMAIN, PATH_TOOLS, WEB_TOOLS, parse
from domain.rules.matching import CallSubject, permits
from domain.tools.calls import ToolEffect

RememberedKind = Literal["approve", "deny"]
"""The decisions that can be remembered."""

_SUBCOMMAND_WORDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedDecision:
    """A rule of an execution or a task. Without a `pattern`, the input must be the same."""

    id: UUID
    decision: RememberedKind
    tool_name: str
    reach_sha256: bytes
    input_sha256: bytes
    pattern: str | None = None
    message: str | None = None
    author_id: UUID
    author: str
    created_at: datetime

    def covers(self, tool_input: Any, input_sha256: bytes) -> bool:
        """Whether the rule decides a call of its tool with this input."""
        if self.pattern is None:
            return self.input_sha256 == input_sha256
        return pattern_covers(self.pattern, self.tool_name, tool_input)

    def describe(self) -> str:
        """Why the call runs or is denied, as a sentence."""
        verb = "allows" if self.decision == "approve" else "denies"
        what = "exactly this input" if self.pattern is None else self.pattern
        return f"A decision that {self.author} asked to remember {verb} {what}."


def pattern_covers(pattern: str, tool: str, tool_input: Any) -> bool:
    """Whether a pattern, such as `bash(git *)`, covers a whole call of exactly this tool."""
    rule = parse(pattern)
    if rule is None or rule.tool != tool or not isinstance(tool_input, Mapping):
        return False
    return permits(rule, CallSubject(tool, tool_input))


def choose(
    rules: Sequence[RememberedDecision], tool_input: Any, input_sha256: bytes
) -> RememberedDecision | None:
    """The rule that decides a call: a denial goes before an approval. None: a person is asked."""
    covering = [rule for rule in rules if rule.covers(tool_input, input_sha256)]
    return min(covering, key=lambda rule: rule.decision != "deny", default=None)


def reach_sha256(
    tool: str,
    effect: ToolEffect,
    prefix: Prefix,
    definition: Mapping[str, Any],
    pinned: PinnedTool | None = None,
) -> bytes:
    """The hash of what the tool is and can reach. If it changes, a person is asked again.

    It covers the effect class, the host's directory, the network and the memory of the execution,
    and for a tool of an MCP server the server and what it listed.
    """
    parts: list[Any] = [
        tool,
        effect,
        definition.get("working_directory_path"),
        list(prefix.network),
        list(prefix.memory),
    ]
    if pinned is not None:
        servers = definition.get("sdk_options", {}).get("mcp_servers", {})
        parts += [pinned.sha256, str(pinned.server_id), servers.get(pinned.server)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def suggest_pattern(tool: str, tool_input: Any) -> str | None:
    """A pattern that a person may confirm instead of exactly this input, or None.

    It is the first words of a command, the directory of a path, or the host of a URL.
    """
    if not isinstance(tool_input, Mapping):
        return None
    subject = CallSubject(tool, tool_input)
    argument = None
    if tool == COMMAND_TOOL and subject.line is not None and subject.line.simple is not None:
        words = subject.line.simple.text.split(" ")
        is_known = len(words) >= _SUBCOMMAND_WORDS and words[1][:1].isalpha()
        argument = f"{' '.join(words[:_SUBCOMMAND_WORDS] if is_known else words[:1])} *"
    elif tool in PATH_TOOLS and subject.path and "/" in subject.path:
        argument = f"{subject.path.rpartition('/')[0]}/*"
    elif tool in WEB_TOOLS and subject.host is not None:
        argument = f"{DOMAIN}{subject.host}"
    pattern = None if argument is None else f"{tool}({argument})"
    return pattern if pattern and pattern_covers(pattern, tool, tool_input) else None
