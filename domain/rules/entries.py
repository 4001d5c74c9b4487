"""One entry of `allowed_tools`, `ask_tools` or `disallowed_tools`.

A rule is a tool's name (`read_file`), a name with wildcards (`mcp__github__*`), or a name with a
pattern for the tool's argument (`bash(git *)`, `write_file(src/*)`, `web_fetch(domain:a.example)`).
The module `matching` compares rules with calls.
"""

import re
from dataclasses import dataclass

from domain.rules.text_patterns import matches_wildcards

COMMAND_TOOL = "bash"
"""The tool whose argument is a command line."""

PATH_TOOLS = frozenset(
    {"read_file", "write_file", "edit_file", "list_files", "search_files", "save_artifact"}
)
"""Tools whose argument is a path in the workspace."""

WEB_TOOLS = frozenset({"web_fetch", "http_request"})
"""Tools whose argument is a URL. Their patterns are for its host: `domain:*.example.com`."""

READ_ARTIFACT = "read_artifact"
"""The tool that reads stored files."""

MEMORY_FILES = "memory"
"""Claude's own memory tool (`memory_20250818`), for files that are entries of the memory."""

MEMORY_TOOLS = frozenset(
    {
        "memory_get",
        "memory_search",
        "memory_add",
        "memory_update",
        "memory_delete",
        MEMORY_FILES,
    }
)
"""Tools for the memory of the user, in the namespaces that the task lists."""

DOMAIN = "domain:"
"""Begins a pattern for hosts."""

_SAME_RIGHT = {"delegate_many": "delegate"}
"""Tools that a rule for another tool restricts, too, because they do the same."""

_RULE = re.compile(r"(?P<tool>[A-Za-z0-9_*-]+)(?:\((?P<argument>.*)\))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed rule. Without `argument` it matches every call of its tools."""

    tool: str
    argument: str | None = None

    def names(self, tool: str) -> bool:
        """Whether the rule is for this tool, with any argument."""
        return matches_wildcards(self.tool, tool)

    def restricts_tool(self, tool: str) -> bool:
        """Whether the rule, as one that restricts, is for this tool, with any argument."""
        return self.names(tool) or (tool in _SAME_RIGHT and self.names(_SAME_RIGHT[tool]))

    @property
    def matches_every_call(self) -> bool:
        """Whether the argument does not matter."""
        argument = self.argument
        if argument is not None and self.tool in WEB_TOOLS:
            argument = argument.removeprefix(DOMAIN)
        return argument is None or (self.argument != DOMAIN and not argument.strip("*"))

    def __str__(self) -> str:
        return self.tool if self.argument is None else f"{self.tool}({self.argument})"


def parse(text: str) -> Rule | None:
    """Parse a rule; None if the text is not one."""
    found = _RULE.fullmatch(text)
    if found is None or found["argument"] == "":
        return None
    return Rule(found["tool"], found["argument"])
