"""Compares rules with tool calls.

A rule that allows must cover a whole call. A rule that restricts applies if any part of the call
may be what it names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from domain.rules.entries import COMMAND_TOOL, PATH_TOOLS, WEB_TOOLS, Rule
from domain.rules.host_patterns import matches_host
from domain.rules.path_patterns import permits_path, restricts_path
from domain.rules.text_patterns import matches_wildcards, may_match_wildcards
from domain.shell.commands import Command, CommandLine, join_blanks, read
from domain.shell.wrapped import program_of
from domain.web.urls import host_of
from domain.workspaces.paths import relative_path

_DIRECTORY_TOOLS = frozenset({"list_files", "search_files"})


@dataclass(frozen=True)
class CallSubject:
    """What a call is about: a command line, a path, or the host of a URL, if any."""

    tool: str
    tool_input: Mapping[str, Any]

    @cached_property
    def line(self) -> CommandLine | None:
        """The command line, which is parsed when a pattern needs it."""
        if self.tool != COMMAND_TOOL:
            return None
        return read(str(self.tool_input.get("command", "")))

    @property
    def path(self) -> str | None:
        """The path below the workspace; None if the tool has none, or will refuse it."""
        if self.tool not in PATH_TOOLS:
            return None
        return relative_path(str(self.tool_input.get("path", ".")))

    @property
    def host(self) -> str | None:
        """The host of the URL; None if the tool has none, or will refuse it."""
        return host_of(self.tool_input.get("url")) if self.tool in WEB_TOOLS else None


def permits(rule: Rule, subject: CallSubject) -> bool:
    """Whether the rule allows the whole call; a command line must be one simple command."""
    if not rule.names(subject.tool) or rule.argument is None:
        return rule.names(subject.tool)
    if subject.line is not None:
        simple = subject.line.simple
        return simple is not None and _matches(join_blanks(rule.argument), simple.text)
    if subject.host is not None:
        return matches_host(rule.argument, subject.host)
    return subject.path is not None and permits_path(rule.argument, subject.path)


def restricts(rule: Rule, subject: CallSubject) -> bool:
    """Whether the rule applies to a part of the call, as far as the parts are known."""
    is_for_tool = rule.restricts_tool(subject.tool)
    if not is_for_tool or rule.argument is None or rule.matches_every_call:
        return is_for_tool
    if subject.line is not None:
        return find_restricted_command(rule, subject.line) is not None
    if subject.host is not None:
        return matches_host(rule.argument, subject.host)
    return subject.path is not None and restricts_path(
        rule.argument, subject.path, is_directory=subject.tool in _DIRECTORY_TOOLS
    )


def may_hide_from(rule: Rule, subject: CallSubject) -> str | None:
    """Why the command line may run more than can be seen, if the rule has a command pattern."""
    if rule.argument is None or not rule.names(subject.tool) or subject.line is None:
        return None
    return subject.line.unclear


def find_restricted_command(rule: Rule, line: CommandLine) -> Command | None:
    """The first command of a line to which the rule's pattern applies."""
    patterns = list(_variants(join_blanks(rule.argument or "")))
    return next((c for c in line.commands if any(_applies(p, c) for p in patterns)), None)


def _variants(pattern: str) -> Iterator[str]:
    """The pattern, and the pattern without the directory of its program."""
    yield pattern
    program, blank, arguments = pattern.partition(" ")
    if "/" in program:
        yield program.rpartition("/")[2] + blank + arguments


def _applies(pattern: str, command: Command) -> bool:
    if _matches(pattern, command.text):
        return True
    known = [word for word in takewhile(lambda word: word is not None, command.words) if word]
    if not known:
        return False
    is_complete = None not in command.words
    for program in {known[0], program_of(command.words)}:
        text = join_blanks(" ".join([program, *known[1:]]))
        if _matches(pattern, text) or not (
            is_complete or not may_match_wildcards(pattern, f"{text} ")
        ):
            return True
    return False


def _matches(pattern: str, text: str) -> bool:
    """Whether the text matches; `git *` also matches `git` alone."""
    return matches_wildcards(pattern, text) or (pattern.endswith(" *") and text == pattern[:-2])
