"""The rules of an execution, and which tools they offer. Workflows load it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.rules.entries import (
    COMMAND_TOOL,
    MEMORY_TOOLS,
    PATH_TOOLS,
    READ_ARTIFACT,
    WEB_TOOLS,
    Rule,
    parse,
)
from domain.tools.engine import ENGINE_TOOLS, SUBMIT_PLAN

PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions"]
"""`default`: the rules decide. `acceptEdits`: file edits run without approval. `plan`: only
read-only tools until the plan is approved. `bypassPermissions`: nothing needs approval (admins
only)."""

KNOWN_TOOLS = frozenset(
    {COMMAND_TOOL, READ_ARTIFACT} | PATH_TOOLS | WEB_TOOLS | MEMORY_TOOLS | ENGINE_TOOLS.keys()
)
"""All built-in tools. Tools of MCP servers are named `mcp__<server>__<tool>`."""

EDITS = frozenset({"write_file", "edit_file"})
"""Tools that `acceptEdits` allows."""

USUAL_NAMES: Mapping[str, str] = {
    "read": "read_file",
    "write": "write_file",
    "edit": "edit_file",
    "multiedit": "edit_file",
    "bash": "bash",
    "shell": "bash",
    "grep": "search_files",
    "glob": "list_files",
    "ls": "list_files",
    "webfetch": "web_fetch",
    "fetch": "web_fetch",
    "task": "delegate",
    "agent": "delegate",
    "askuserquestion": "ask_user",
}
"""Names of other agents for our tools, in lower case."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """The rules of one execution, as lists of the task."""

    allowed: Sequence[str] = ()
    ask: Sequence[str] = ()
    disallowed: Sequence[str] = ()
    mode: PermissionMode = "default"

    @property
    def restricting(self) -> Sequence[str]:
        """The rules that deny calls or require approval."""
        return [*self.disallowed, *self.ask]

    def offers(self, tool: str) -> bool:
        """Whether the tool is offered to the model: some call of it runs or requires approval."""
        if tool == SUBMIT_PLAN:
            return self.mode == "plan" and not self.forbids(tool)
        named = any(rule.names(tool) for rule in valid_rules([*self.allowed, *self.ask]))
        return named and not self.forbids(tool)

    def forbids(self, tool: str) -> bool:
        """Whether `disallowed_tools` forbids every call of the tool."""
        rules = valid_rules(self.disallowed)
        return any(rule.matches_every_call and rule.restricts_tool(tool) for rule in rules)


def rule_from_agent_file(name: str) -> str:
    """Convert a tool of an agent file: `Bash(git:*)` becomes `bash(git *)`."""
    tool, bracket, argument = name.partition("(")
    ours = USUAL_NAMES.get(tool.lower(), tool)
    return ours + bracket + (argument.replace(":*", " *") if ours == COMMAND_TOOL else argument)


def valid_rules(texts: Iterable[str]) -> Sequence[Rule]:
    """The valid rules. The gateway refuses others; here they are ignored."""
    return [rule for text in texts if (rule := parse(text)) is not None]
