"""Problems of tool rules: unknown names, and patterns that no call can match."""

import difflib
import posixpath
import re
from collections.abc import Collection, Sequence

from domain.errors import FieldProblem
from domain.rules.entries import COMMAND_TOOL, DOMAIN, PATH_TOOLS, WEB_TOOLS, Rule, parse
from domain.rules.host_patterns import normalise_host_pattern
from domain.rules.path_patterns import normalise_pattern
from domain.rules.permissions import KNOWN_TOOLS, USUAL_NAMES, rule_from_agent_file
from domain.rules.text_patterns import matches_wildcards
from domain.shell.commands import CommandLine, join_blanks, read
from domain.workspaces.paths import WORKSPACE

_MCP = "mcp__"
_MCP_TOOL = re.compile(r"mcp__[A-Za-z0-9*-]+(_[A-Za-z0-9*-]+)*__[A-Za-z0-9_*-]+")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9.+-]*")
_OPERATOR = re.compile(r"[;|&<>\n]")
_PREFIX_OF_OTHER_AGENTS = re.compile(r"(?P<program>[^\s:*]+):\*")
_AFTER_ASSIGNMENTS = re.compile(r"\s*(?:[A-Za-z_]\w*\+?=\S*\s+)+(?P<command>\S.*)", re.DOTALL)
_SCHEME = re.compile(rf"(?:{DOMAIN})?(?:[a-z*]+://)?", re.IGNORECASE)
_PORT = re.compile(r":[0-9*]+$")
_SIMILAR = 0.7
"""How similar a name must be to be suggested (chosen: `read_fil` is, `red` is not)."""

LONGEST_RULE = 300
"""Most characters of a rule (chosen: the worst 600 rules of a task take about a second)."""

_SUGGESTED_COMMANDS = 3
"""Most commands of a line that are suggested as rules (chosen)."""


def problems(
    names: Sequence[str],
    known_tools: Collection[str] = KNOWN_TOOLS,
    *,
    are_allowing: bool = False,
) -> Sequence[FieldProblem]:
    """Problems of a list of rules, each with its index and a suggestion.

    Rules of `allowed_tools` are allowing: they match no command with an assignment before it.
    Whether tools of MCP servers exist is not checked here, but when the execution starts.
    """
    return [
        FieldProblem((index,), *found)
        for index, name in enumerate(names)
        if (found := _problem(name, known_tools, are_allowing=are_allowing))
    ]


def _problem(
    name: str, known_tools: Collection[str], *, are_allowing: bool
) -> tuple[str, str] | None:
    if len(name) > LONGEST_RULE:
        text = f"A rule has at most {LONGEST_RULE} characters; use '*' for a part of it."
        return text, "too_long"
    rule = parse(name)
    if rule is None:
        text = f"{name!r} is not a tool; write a name, or a name with a pattern like 'bash(git *)'."
        return text, "unknown_tool"
    is_mcp = _MCP_TOOL.fullmatch(rule.tool) is not None
    if not is_mcp and not any(rule.names(tool) for tool in known_tools):
        return f"There is no tool {rule.tool!r}. {_suggestion(rule, known_tools)}", "unknown_tool"
    if rule.argument is None:
        return None
    if rule.tool not in PATH_TOOLS | WEB_TOOLS | {COMMAND_TOOL}:
        return f"{rule.tool} takes no pattern in brackets; write {rule.tool!r}.", "unknown_tool"
    problem = _pattern_problem(rule.tool, rule.argument, are_allowing=are_allowing)
    return (f"{name!r} can never match. {problem}", "rule_without_effect") if problem else None


def _suggestion(rule: Rule, known_tools: Collection[str]) -> str:
    if rule.tool.startswith(_MCP):
        server = rule.tool.removeprefix(_MCP).strip("_*") or "SERVER"
        return (
            f"Write '{_MCP}{server}__*' for all tools of an MCP server, or '{_MCP}{server}__TOOL' "
            "for one."
        )
    usual = USUAL_NAMES.get(rule.tool.lower())
    if usual in known_tools:
        return f"Did you mean {rule_from_agent_file(str(rule))!r}?"
    alike = difflib.get_close_matches(rule.tool.lower(), sorted(known_tools), 1, _SIMILAR)
    if alike:
        return f"Did you mean {str(Rule(alike[0], rule.argument))!r}?"
    if COMMAND_TOOL in known_tools and _COMMAND_NAME.fullmatch(rule.tool):
        return f"A command is allowed as '{COMMAND_TOOL}({rule.tool} *)'."
    return f"The tools are: {', '.join(sorted(known_tools))}."


def _pattern_problem(tool: str, pattern: str, *, are_allowing: bool) -> str | None:
    """Why no call can match the pattern, and what to write, or None."""
    if not pattern.strip():
        return f"Its pattern is blank; for every call, write {tool!r}."
    if tool in WEB_TOOLS:
        return _host_problem(tool, pattern)
    if tool != COMMAND_TOOL:
        return _path_problem(tool, pattern)
    if are_allowing and (found := _AFTER_ASSIGNMENTS.fullmatch(pattern)):
        suggested = str(Rule(tool, found["command"]))
        return f"Remove the assignment, which needs approval: {suggested!r}."
    return _command_problem(pattern)


def _path_problem(tool: str, pattern: str) -> str | None:
    if normalise_pattern(pattern) is not None:
        return None
    if "\0" in pattern:
        return "A path cannot contain NUL."
    inside = posixpath.normpath(pattern.removeprefix(WORKSPACE).lstrip("/"))
    while inside.startswith("../"):
        inside = inside[3:]
    suggested = Rule(tool, "*" if inside in (".", "..") else inside)
    return f"Paths are below {WORKSPACE} and contain no '..'. Did you mean {str(suggested)!r}?"


def _host_problem(tool: str, pattern: str) -> str | None:
    if normalise_host_pattern(pattern) is not None:
        return None
    authority = re.split(r"[/?#]", _SCHEME.sub("", pattern.strip()), maxsplit=1)[0]
    host = _PORT.sub("", authority.rpartition("@")[2])
    suggested = host if normalise_host_pattern(DOMAIN + host) else "example.com"
    return (
        "A pattern is for the host of the URL, without a port or a path. Write "
        f"{str(Rule(tool, DOMAIN + suggested))!r}."
    )


def _command_problem(pattern: str) -> str | None:
    if found := _PREFIX_OF_OTHER_AGENTS.fullmatch(pattern.strip()):
        return f"Did you mean '{COMMAND_TOOL}({found['program']} *)'?"
    pattern = join_blanks(pattern)
    line = read(pattern)
    # A pattern of one command matches itself, because `*` is text to a shell that does not run it.
    if any(matches_wildcards(pattern, command.text) for command in line.commands):
        return None
    if _may_be_quoted(line, pattern):
        return None
    commands = dict.fromkeys(str(Rule(COMMAND_TOOL, command.text)) for command in line.commands)
    listed = ", ".join(map(repr, [*commands][:_SUGGESTED_COMMANDS])) or f"'{COMMAND_TOOL}(rm *)'"
    return (
        "A command pattern is for one command, without keywords, operators or redirections. "
        f"Write a rule for each command, such as {listed}."
    )


def _may_be_quoted(line: CommandLine, pattern: str) -> bool:
    """Whether the pattern may be a part of a command that only the whole command completes."""
    return line.commands != () and line.unclear is not None and not _OPERATOR.search(pattern)
