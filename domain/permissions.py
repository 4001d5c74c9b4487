"""Which tools an execution offers, and what becomes of each call (design.md, section 6)."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from domain.engine_tools import ASK_USER, ENGINE_TOOLS
from domain.errors import FieldProblem
from domain.tool_calls import ToolEffect
from domain.tool_rules import COMMAND_TOOL, PATH_TOOLS, Rule, parse

PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions"]
"""`default`: as the rules say. `acceptEdits`: file edits run unasked. `plan`: only read-only tools
until the plan is approved. `bypassPermissions`: nothing is asked (admins only)."""

KNOWN_TOOLS = frozenset({COMMAND_TOOL} | PATH_TOOLS | ENGINE_TOOLS.keys())
"""Every tool that is built in. Tools of MCP servers are named `mcp__<server>__<tool>`."""

EDITS = frozenset({"write_file", "edit_file"})
"""What `acceptEdits` lets run."""

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
"""Names other agents use for our tools, in lower case."""

_MCP_TOOL = re.compile(r"mcp__[A-Za-z0-9*-]+(_[A-Za-z0-9*-]+)*__[A-Za-z0-9_*-]+")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9.+-]*")
_SIMILAR = 0.7
"""How alike a name must be to be suggested (chosen: `read_fil`, not `red`)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call; `reason` is a sentence for the model or the person asked."""

    kind: Literal["run", "ask", "deny"]
    reason: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """The rules of one execution, each list as the task writes it."""

    allowed: Sequence[str] = ()
    ask: Sequence[str] = ()
    disallowed: Sequence[str] = ()
    mode: PermissionMode = "default"

    def offers(self, tool: str) -> bool:
        """Whether the model gets to see the tool: it is named as allowed or as to be asked for."""
        return any(rule.names(tool) for rule in _rules([*self.allowed, *self.ask]))

    def decide(self, tool: str, tool_input: Mapping[str, Any], effect: ToolEffect) -> Decision:
        """What becomes of one call. The strictest rule that speaks of it wins."""
        if not self.offers(tool):
            return Decision("deny", f"{tool} is not among the tools of this task.")
        if rule := _first(r for r in _rules(self.disallowed) if r.touches(tool, tool_input)):
            return Decision("deny", f"This task forbids {rule}.")
        if self.mode == "plan" and effect is not ToolEffect.READ_ONLY:
            return Decision(
                "deny", f"Only reading is allowed until the plan is approved; {tool} does more."
            )
        return self._unless_waived(tool, self._by_rules(tool, tool_input))

    def _by_rules(self, tool: str, tool_input: Mapping[str, Any]) -> Decision:
        if rule := _first(r for r in _rules(self.ask) if r.touches(tool, tool_input)):
            return Decision("ask", f"This task asks before {rule}.")
        if rule := _first(r for r in _rules(self.allowed) if r.permits(tool, tool_input)):
            return Decision("run", f"This task allows {rule}.")
        return Decision("ask", f"This task allows some uses of {tool}, and this is none of them.")

    def _unless_waived(self, tool: str, decision: Decision) -> Decision:
        """An ask becomes a run where the mode says so, or where the call is itself a question."""
        if decision.kind != "ask":
            return decision
        if tool == ASK_USER:
            return Decision("run", "A question needs no permission.")
        if self.mode == "bypassPermissions" or (self.mode == "acceptEdits" and tool in EDITS):
            return Decision("run", f"The permission mode is {self.mode}.")
        return decision


def problems(
    names: Sequence[str], known_tools: Collection[str] = KNOWN_TOOLS
) -> Sequence[FieldProblem]:
    """What is wrong with a list of rules, each located by its index and with what to write instead.

    Tools of MCP servers are taken as they come: their servers are asked when the execution starts.
    """
    found = ((i, _problem(name, known_tools)) for i, name in enumerate(names))
    return [FieldProblem((i,), text, "unknown_tool") for i, text in found if text]


def rule_on_import(name: str) -> str:
    """An agent file's tool in our words: `Bash(git:*)` becomes `bash(git *)`."""
    tool, bracket, argument = name.partition("(")
    ours = USUAL_NAMES.get(tool.lower(), tool)
    return ours + bracket + (argument.replace(":*", " *") if ours == COMMAND_TOOL else argument)


def _problem(name: str, known_tools: Collection[str]) -> str | None:
    rule = parse(name)
    if rule is None:
        return f"{name!r} is no tool: write a name, or a name with a pattern like 'bash(git *)'."
    is_mcp = _MCP_TOOL.fullmatch(rule.tool) is not None
    if not is_mcp and not any(rule.names(tool) for tool in known_tools):
        return f"There is no tool {rule.tool!r}. {_suggestion(rule, known_tools)}"
    if rule.argument is not None and rule.tool not in PATH_TOOLS | {COMMAND_TOOL}:
        return f"{rule.tool} takes no pattern in brackets; write {rule.tool!r}."
    return None


def _suggestion(rule: Rule, known_tools: Collection[str]) -> str:
    usual = USUAL_NAMES.get(rule.tool.lower())
    if usual in known_tools:
        return f"Did you mean {rule_on_import(str(rule))!r}?"
    alike = difflib.get_close_matches(rule.tool.lower(), sorted(known_tools), 1, _SIMILAR)
    if alike:
        return f"Did you mean {str(Rule(alike[0], rule.argument))!r}?"
    if COMMAND_TOOL in known_tools and _COMMAND_NAME.fullmatch(rule.tool):
        return f"A command is allowed as '{COMMAND_TOOL}({rule.tool} *)'."
    return f"The tools are: {', '.join(sorted(known_tools))}."


def _rules(texts: Iterable[str]) -> Iterable[Rule]:
    """The rules that parse. The gateway refuses others; here they match nothing."""
    return (rule for text in texts if (rule := parse(text)) is not None)


def _first(rules: Iterable[Rule]) -> Rule | None:
    return next(iter(rules), None)
