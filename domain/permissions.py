"""The rules of an execution, which tools they offer, and problems of rules."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.engine_tools import ENGINE_TOOLS
from domain.errors import FieldProblem
from domain.tool_rules import COMMAND_TOOL, PATH_TOOLS, Rule, parse

PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions"]
"""`default`: the rules decide. `acceptEdits`: file edits run without approval. `plan`: only
read-only tools until the plan is approved. `bypassPermissions`: nothing needs approval (admins
only)."""

KNOWN_TOOLS = frozenset({COMMAND_TOOL} | PATH_TOOLS | ENGINE_TOOLS.keys())
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
    "task": "delegate",
    "agent": "delegate",
    "askuserquestion": "ask_user",
}
"""Names of other agents for our tools, in lower case."""

_MCP_TOOL = re.compile(r"mcp__[A-Za-z0-9*-]+(_[A-Za-z0-9*-]+)*__[A-Za-z0-9_*-]+")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9.+-]*")
_SIMILAR = 0.7
"""How similar a name must be to be suggested (chosen: `read_fil` is, `red` is not)."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """The rules of one execution, as lists of the task."""

    allowed: Sequence[str] = ()
    ask: Sequence[str] = ()
    disallowed: Sequence[str] = ()
    mode: PermissionMode = "default"

    def offers(self, tool: str) -> bool:
        """Whether the tool is offered to the model: the rules allow it, or require approval."""
        return any(rule.names(tool) for rule in valid_rules([*self.allowed, *self.ask]))


def problems(
    names: Sequence[str], known_tools: Collection[str] = KNOWN_TOOLS
) -> Sequence[FieldProblem]:
    """Problems of a list of rules, each with its index and a suggestion.

    Tools of MCP servers are not checked here, but when the execution starts.
    """
    found = ((i, _problem(name, known_tools)) for i, name in enumerate(names))
    return [FieldProblem((i,), text, "unknown_tool") for i, text in found if text]


def rule_from_agent_file(name: str) -> str:
    """Convert a tool of an agent file: `Bash(git:*)` becomes `bash(git *)`."""
    tool, bracket, argument = name.partition("(")
    ours = USUAL_NAMES.get(tool.lower(), tool)
    return ours + bracket + (argument.replace(":*", " *") if ours == COMMAND_TOOL else argument)


def _problem(name: str, known_tools: Collection[str]) -> str | None:
    rule = parse(name)
    if rule is None:
        return f"{name!r} is not a tool; write a name, or a name with a pattern like 'bash(git *)'."
    is_mcp = _MCP_TOOL.fullmatch(rule.tool) is not None
    if not is_mcp and not any(rule.names(tool) for tool in known_tools):
        return f"There is no tool {rule.tool!r}. {_suggestion(rule, known_tools)}"
    if rule.argument is not None and rule.tool not in PATH_TOOLS | {COMMAND_TOOL}:
        return f"{rule.tool} takes no pattern in brackets; write {rule.tool!r}."
    return None


def _suggestion(rule: Rule, known_tools: Collection[str]) -> str:
    usual = USUAL_NAMES.get(rule.tool.lower())
    if usual in known_tools:
        return f"Did you mean {rule_from_agent_file(str(rule))!r}?"
    alike = difflib.get_close_matches(rule.tool.lower(), sorted(known_tools), 1, _SIMILAR)
    if alike:
        return f"Did you mean {str(Rule(alike[0], rule.argument))!r}?"
    if COMMAND_TOOL in known_tools and _COMMAND_NAME.fullmatch(rule.tool):
        return f"A command is allowed as '{COMMAND_TOOL}({rule.tool} *)'."
    return f"The tools are: {', '.join(sorted(known_tools))}."


def valid_rules(texts: Iterable[str]) -> Iterable[Rule]:
    """The valid rules. The gateway refuses others; here they are ignored."""
    return (rule for text in texts if (rule := parse(text)) is not None)
