"""Remembered decisions cover what their author saw, and nothing else."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.ids import new_id
from domain.model.calls import Prefix
from domain.people.remembered_decisions import (
    RememberedDecision,
    choose,
    pattern_covers,
    reach_sha256,
    suggest_pattern,
)
from domain.tools.calls import ToolEffect

PREFIX = Prefix(model="m", max_tokens=1)


def sha256(tool_input: Any) -> bytes:
    return hashlib.sha256(json.dumps(tool_input).encode()).digest()


def rule(tool_input: Any, **changed: Any) -> RememberedDecision:
    made = RememberedDecision(
        id=new_id(),
        decision="approve",
        tool_name="bash",
        reach_sha256=b"",
        input_sha256=sha256(tool_input),
        author_id=new_id(),
        author="alice",
        created_at=datetime.now(UTC),
    )
    return replace(made, **changed)


def test_without_a_pattern_only_the_same_input_is_covered() -> None:
    push = {"command": "git push"}
    found = rule(push)
    assert choose([found], push, sha256(push)) is found
    for command in ("git push ", "git push -f", "git push; id"):
        other = {"command": command}
        assert choose([found], other, sha256(other)) is None


@pytest.mark.parametrize(
    ("pattern", "tool", "tool_input", "is_covered"),
    [
        ("bash(git *)", "bash", {"command": "git push"}, True),
        ("bash(git *)", "bash", {"command": "git push; rm -rf /"}, False),
        ("bash(git *)", "bash", {"command": "git $(id)"}, False),
        ("b*(git *)", "bash", {"command": "git push"}, False),
        ("write_file(src/*)", "write_file", {"path": "src/a.py"}, True),
        ("write_file(src/*)", "write_file", {"path": "src/../b.py"}, False),
        ("web_fetch(domain:a.example)", "web_fetch", {"url": "https://a.example/x"}, True),
        ("web_fetch(domain:a.example)", "web_fetch", {"url": "https://b.example/x"}, False),
        ("mcp__shop__pay", "mcp__shop__pay", {"eur": 1}, True),
        ("mcp__shop__*", "mcp__shop__pay", {"eur": 1}, False),
        ("mcp__shop__pay(1)", "mcp__shop__pay", {"eur": 1}, False),
        ("bash(git", "bash", {"command": "git"}, False),
        ("bash(git *)", "bash", ["git"], False),
    ],
)
def test_patterns(pattern: str, tool: str, tool_input: Any, *, is_covered: bool) -> None:
    assert pattern_covers(pattern, tool, tool_input) is is_covered


def test_a_denial_goes_before_an_approval() -> None:
    push = {"command": "git push"}
    denial = rule(push, decision="deny", pattern="bash(git *)")
    assert choose([rule(push), denial], push, sha256(push)) is denial


def test_another_reach_is_another_tool() -> None:
    effect = ToolEffect.WORKSPACE
    known = reach_sha256("bash", effect, PREFIX, {})
    assert reach_sha256("bash", effect, PREFIX, {}) == known
    others = [
        reach_sha256("bash", ToolEffect.EXTERNAL, PREFIX, {}),
        reach_sha256("bash", effect, replace(PREFIX, network=["a.example"]), {}),
        reach_sha256("bash", effect, replace(PREFIX, memory=[{"namespace": "user:a"}]), {}),
        reach_sha256("bash", effect, PREFIX, {"working_directory_path": "/srv"}),
        reach_sha256("write_file", effect, PREFIX, {}),
    ]
    assert len({known, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("tool", "tool_input", "suggested"),
    [
        ("bash", {"command": "git status -s"}, "bash(git status *)"),
        ("bash", {"command": "ls -l"}, "bash(ls *)"),
        ("bash", {"command": "git status; id"}, None),
        ("write_file", {"path": "src/a/b.py"}, "write_file(src/a/*)"),
        ("write_file", {"path": "b.py"}, None),
        ("web_fetch", {"url": "https://a.example/x"}, "web_fetch(domain:a.example)"),
        ("mcp__shop__pay", {"eur": 1}, None),
    ],
)
def test_suggested_patterns(tool: str, tool_input: Any, suggested: str | None) -> None:
    assert suggest_pattern(tool, tool_input) == suggested
