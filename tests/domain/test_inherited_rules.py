"""The rules of subtasks allow nothing that one of the two lists does not allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.decisions import decide
from domain.rules.inherited import common_rules, rules_for_tools
from domain.rules.permissions import Permissions
from domain.tools.calls import ToolEffect


@pytest.mark.parametrize(
    ("rules", "others", "common"),
    [
        (["bash"], ["bash(git *)"], ["bash(git *)"]),
        (["bash(git *)"], ["bash"], ["bash(git *)"]),
        (["bash(git *)"], ["bash(git log *)", "bash(ls)"], ["bash(git log *)"]),
        (["bash(git *)"], ["bash(* log)"], []),
        (["read_file(src/**)"], ["read_file(src/**)"], ["read_file(src/**)"]),
        (["read_file(src/**)"], ["read_file(src/a)"], []),
        (["mcp__github__*"], ["mcp__*"], ["mcp__github__*"]),
        (["mcp__github__*"], ["mcp__github__list"], ["mcp__github__list"]),
        (["*_file"], ["read*"], []),
        (["read_file"], ["write_file"], []),
        (["read_file"], [], []),
        (["*"], ["bash(git *)", "read_file"], ["bash(git *)", "read_file"]),
    ],
)
def test_only_what_both_allow_is_allowed(
    rules: list[str], others: list[str], common: list[str]
) -> None:
    assert list(common_rules(rules, others)) == common
    assert sorted(common_rules(others, rules)) == sorted(common)


RULES = st.lists(
    st.sampled_from(
        [
            *("bash", "bash(git *)", "bash(git log *)", "bash(* log)", "bash(ls)", "b*", "*"),
            *("read_file", "read_file(src/**)", "read_file(src/a)", "*_file", "read*"),
        ]
    ),
    max_size=4,
)
CALLS = st.sampled_from(
    [
        *(("bash", {"command": c}) for c in ("git", "git log", "git log -1", "svn log", "ls")),
        *(("read_file", {"path": p}) for p in ("src/a", "src/b/c", "x")),
        ("write_file", {"path": "x", "content": ""}),
    ]
)


@given(RULES, RULES, CALLS)
def test_no_call_is_allowed_that_one_list_refuses(
    rules: list[str], others: list[str], call: tuple[str, dict[str, str]]
) -> None:
    def runs(allowed: list[str]) -> bool:
        verdict = decide(Permissions(allowed), *call, ToolEffect.WORKSPACE)
        return verdict.kind == "run"

    assert not runs(list(common_rules(rules, others))) or (runs(rules) and runs(others))


@pytest.mark.parametrize(
    ("rules", "tools", "kept"),
    [
        (["bash(rm *)", "read_file"], ["bash"], ["bash(rm *)"]),
        (["mcp__*(x)"], ["mcp__a", "mcp__b"], ["mcp__a(x)", "mcp__b(x)"]),
        (["*_file(secret)"], ["read*"], ["*_file(secret)"]),
    ],
)
def test_a_restriction_is_kept_for_the_tools_that_are_left(
    rules: list[str], tools: list[str], kept: list[str]
) -> None:
    assert list(rules_for_tools(rules, tools, must_restrict=True)) == kept
