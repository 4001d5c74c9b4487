"""Which tools are offered, and which calls may run."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.engine_tools import ENGINE_TOOLS
from domain.permissions import KNOWN_TOOLS, Permissions, problems, rule_from_agent_file
from domain.tool_calls import ToolEffect
from domain.tool_decisions import decide, find_denial
from domain.tool_rules import parse
from tools.specs import BUILTIN_TOOLS

READ, WRITE, RUN = ToolEffect.READ_ONLY, ToolEffect.IDEMPOTENT, ToolEffect.WORKSPACE

WORDS = st.text(string.ascii_lowercase + string.digits + " -./=", max_size=30)
JOINS = st.sampled_from([";", "|", "&", "$", "<", ">", "`", "\n", "$(", "&&", "||"])


def bash(permissions: Permissions, command: str) -> str:
    return decide(permissions, "bash", {"command": command}, RUN).kind


def test_known_tools_are_those_that_exist() -> None:
    assert BUILTIN_TOOLS.keys() | ENGINE_TOOLS.keys() == KNOWN_TOOLS


def test_an_empty_list_offers_nothing_and_denies_everything() -> None:
    nothing = Permissions()
    assert not any(nothing.offers(tool) for tool in KNOWN_TOOLS)
    assert bash(nothing, "ls") == "deny"


def test_a_tool_is_offered_by_name_by_pattern_or_as_to_be_asked_for() -> None:
    permissions = Permissions(allowed=["bash(git *)", "mcp__github__*"], ask=["write_file"])
    assert permissions.offers("bash")
    assert permissions.offers("mcp__github__create_issue")
    assert permissions.offers("write_file")
    assert not permissions.offers("mcp__gitlab__create_issue")
    assert not permissions.offers("read_file")


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("git status", "run"),
        ("git", "run"),
        ("  git \t status\n", "run"),
        ("gitx status", "ask"),
        ("rm -rf x", "ask"),
        ("git status; rm -rf x", "ask"),
        ("git status && rm x", "ask"),
        ("git log | sh", "ask"),
        ("git log > x", "ask"),
        ("git show $(cat y)", "ask"),
        ("git show `cat y`", "ask"),
        ("git status\nrm x", "ask"),
        ("git status\r\nrm x", "ask"),
        ("git\u00a0status", "ask"),
        ("", "ask"),
    ],
)
def test_a_command_pattern_allows_one_simple_command(command: str, kind: str) -> None:
    assert bash(Permissions(allowed=["bash(git *)"]), command) == kind


def test_the_strictest_rule_wins() -> None:
    permissions = Permissions(
        allowed=["bash"], ask=["bash(git push *)"], disallowed=["bash(rm *)", "read_file"]
    )
    assert bash(permissions, "ls") == "run"
    assert bash(permissions, "git push origin") == "ask"
    assert bash(permissions, "rm x") == "deny"


@pytest.mark.parametrize(
    "command",
    ["true; rm x", "cd y && rm -r z", "echo $(rm x)", "(rm x)", "{ rm x; }", "a|rm x", "\nrm x"],
)
def test_a_restriction_holds_inside_longer_commands(command: str) -> None:
    assert bash(Permissions(allowed=["bash"], disallowed=["bash(rm *)"]), command) == "deny"
    assert bash(Permissions(allowed=["bash"], ask=["bash(rm *)"]), command) == "ask"


def test_a_denial_names_its_rule() -> None:
    permissions = Permissions(allowed=["bash"], disallowed=["bash(rm *)"])
    verdict = find_denial(permissions, "bash", {"command": "true; rm x"})
    assert verdict is not None
    assert (verdict.kind, verdict.rule) == ("deny", "bash(rm *)")
    assert "bash(rm *)" in verdict.reason
    assert find_denial(permissions, "bash", {"command": "ls"}) is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("src/a.py", "run"),
        ("./src//a.py", "run"),
        ("/workspace/src/a/b.py", "run"),
        ("//workspace/src/a.py", "run"),
        ("src/../etc/passwd", "ask"),
        ("/etc/src/a.py", "ask"),
        ("docs/a.md", "ask"),
        ("src/.env", "deny"),
        ("/workspace//src/./.env", "deny"),
    ],
)
def test_path_patterns_read_a_path_as_the_tools_do(path: str, kind: str) -> None:
    permissions = Permissions(allowed=["write_file(src/*)"], disallowed=["write_file(*.env)"])
    assert decide(permissions, "write_file", {"path": path}, WRITE).kind == kind


def test_permission_modes() -> None:
    def kind(mode: str, tool: str, effect: ToolEffect, disallowed: tuple[str, ...] = ()) -> str:
        asked = Permissions(
            allowed=["read_file"],
            ask=["write_file", "bash", "ask_user"],
            disallowed=disallowed,
            mode=mode,  # type: ignore[arg-type] # the parameters below are the modes
        )
        return decide(asked, tool, {"command": "ls", "path": "x"}, effect).kind

    assert kind("default", "write_file", WRITE) == "ask"
    assert kind("acceptEdits", "write_file", WRITE) == "run"
    assert kind("acceptEdits", "bash", RUN) == "ask"
    assert kind("plan", "write_file", WRITE) == "deny"
    assert kind("plan", "read_file", READ) == "run"
    assert kind("bypassPermissions", "bash", RUN) == "run"
    assert kind("bypassPermissions", "bash", RUN, ("bash",)) == "deny"
    assert kind("bypassPermissions", "edit_file", WRITE) == "deny"
    for mode in ("default", "acceptEdits", "plan", "bypassPermissions"):
        assert kind(mode, "ask_user", READ) == "run"


@given(WORDS, JOINS, WORDS)
def test_no_joined_command_runs_by_a_pattern(before: str, join: str, after: str) -> None:
    permissions = Permissions(allowed=["bash(git *)", "bash(*)"])
    # Blank ends are dropped, so that a trailing newline joins nothing.
    joined = f"git {before}{join}x{after}"
    assert bash(permissions, joined) == "ask"


@given(st.sampled_from(["", "x", "cd a"]), JOINS, WORDS)
def test_no_join_hides_a_denied_command(before: str, join: str, after: str) -> None:
    permissions = Permissions(allowed=["bash"], disallowed=["bash(rm *)"])
    assert bash(permissions, f"{before}{join}rm {after}") == "deny"


@given(st.text(max_size=60), st.text("*a(b)_ ", max_size=40))
def test_any_text_gets_a_decision(command: str, pattern: str) -> None:
    permissions = Permissions(allowed=["bash", pattern], ask=[f"bash({pattern})"])
    assert bash(permissions, command) in {"run", "ask"}


@given(st.text(max_size=40))
def test_a_rule_reads_back_as_it_is_written(text: str) -> None:
    rule = parse(text)
    assert rule is None or str(rule) == text


def test_wildcards_are_never_slow() -> None:
    pattern = "*a" * 40 + "b"
    assert bash(Permissions(allowed=[f"bash({pattern})"]), "a" * 100_000) == "ask"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ssh", "'bash(ssh *)'"),
        ("Read", "'read_file'"),
        ("Grep", "'search_files'"),
        ("Bash(git:*)", "'bash(git *)'"),
        ("read_fil", "'read_file'"),
        ("writefile", "'write_file'"),
        ("no_such_thing_at_all", "The tools are: ask_user, bash"),
        ("bash(", "is not a tool"),
        ("", "is not a tool"),
        ("delegate(x)", "takes no pattern"),
        ("mcp__x", "There is no tool 'mcp__x'"),
    ],
)
def test_unknown_names_come_with_what_to_write(name: str, expected: str) -> None:
    [problem] = problems(["read_file", name])
    assert problem.loc == (1,)
    assert expected in problem.msg


def test_good_names_have_no_problems() -> None:
    good = [*KNOWN_TOOLS, "bash(git *)", "write_file(src/*)", "mcp__git_hub__*", "mcp__a__b", "*"]
    assert problems(good) == []


def test_usual_names_are_mapped_on_import() -> None:
    usual = ["Read", "Bash", "Bash(git:*)", "Grep", "Task", "mcp__github__x", "bash(ls *)"]
    assert [rule_from_agent_file(name) for name in usual] == [
        "read_file",
        "bash",
        "bash(git *)",
        "search_files",
        "delegate",
        "mcp__github__x",
        "bash(ls *)",
    ]
