"""One entry of `allowed_tools`, `ask_tools` or `disallowed_tools`, and what it matches.

A rule is a tool's name (`read_file`), a name with wildcards (`mcp__github__*`), or either with a
pattern for the tool's argument (`bash(git *)`, `write_file(src/*)`). `*` stands for any characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.workspace_paths import relative_path

COMMAND_TOOL = "bash"
"""The tool whose argument is a command line."""

PATH_TOOLS = frozenset(
    {"read_file", "write_file", "edit_file", "list_files", "search_files", "save_artifact"}
)
"""Tools whose argument is a path in the workspace."""

_RULE = re.compile(r"(?P<tool>[A-Za-z0-9_*-]+)(?:\((?P<argument>.*)\))?", re.DOTALL)
_BEYOND_ONE_COMMAND = re.compile(r"[;|&$<>`\n]")
_BETWEEN_COMMANDS = re.compile(r"[;|&$<>`\n(){}]+")
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed rule. Without `argument` it matches every call of its tools."""

    tool: str
    argument: str | None = None

    def names(self, tool: str) -> bool:
        """Whether the rule is for this tool, with any argument."""
        return _wildcard(self.tool, tool)

    def permits(self, tool: str, tool_input: Mapping[str, Any]) -> bool:
        """Whether the rule allows the whole call; it must be one simple command."""
        if not self.names(tool) or self.argument is None:
            return self.names(tool)
        if tool != COMMAND_TOOL:
            return _within(self.argument, _path(tool, tool_input))
        command = _command(tool_input)
        return not _BEYOND_ONE_COMMAND.search(command) and _within(self.argument, command)

    def touches(self, tool: str, tool_input: Mapping[str, Any]) -> bool:
        """Whether the rule matches any part of the call.

        For restricting rules: `bash(rm *)` must also match `true; rm -r x`.
        """
        if not self.names(tool) or self.argument is None or tool != COMMAND_TOOL:
            return self.permits(tool, tool_input)
        command = _command(tool_input)
        parts = [command, *_BETWEEN_COMMANDS.split(command)]
        return any(_within(self.argument, part.strip(" \t")) for part in parts)

    def __str__(self) -> str:
        return self.tool if self.argument is None else f"{self.tool}({self.argument})"


def parse(text: str) -> Rule | None:
    """Parse a rule; None if the text is not one."""
    found = _RULE.fullmatch(text)
    if found is None or found["argument"] == "":
        return None
    return Rule(found["tool"], found["argument"])


def _command(tool_input: Mapping[str, Any]) -> str:
    return _BLANKS.sub(" ", str(tool_input.get("command", ""))).strip(" \t\n")


def _path(tool: str, tool_input: Mapping[str, Any]) -> str | None:
    if tool not in PATH_TOOLS:
        return None
    return relative_path(str(tool_input.get("path", ".")))


def _within(pattern: str, text: str | None) -> bool:
    """Whether the text matches; `git *` also matches `git` alone."""
    if text is None:
        return False
    return _wildcard(pattern, text) or (pattern.endswith(" *") and text == pattern[:-2])


def _wildcard(pattern: str, text: str) -> bool:
    """Match `*` by one search for each part, which is fast for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    position = len(first)
    if not text.startswith(first):
        return False
    for piece in middle:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(text) - len(last) >= position and text.endswith(last)
