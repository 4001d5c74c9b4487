"""Which tools are offered, and which calls may run."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rules.decisions import decide, find_denial
from domain.rules.entries import parse
from domain.rules.permissions import KNOWN_TOOLS, Permissions, rule_from_agent_file
from domain.rules.problems import LONGEST_RULE, problems
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.calls import ToolEffect
from domain.tools.engine import ENGINE_TOOLS

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


PATHS = [
    *(".env", "a/.env", "a/b/.env", "x.env", "secrets", "secrets/k", "sub/secrets/k"),
    *("mysecrets/k", "a/b", "a/x/b", "a/x/y/b", "ax/b", "src/a/b.py"),
]


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        (".env", {".env"}),
        ("./.env", {".env"}),
        ("/workspace/.env", {".env"}),
        ("//workspace//./.env", {".env"}),
        ("**/.env", {".env", "a/.env", "a/b/.env"}),
        ("*/.env", {".env", "a/.env", "a/b/.env"}),
        ("**/**/.env", {".env", "a/.env", "a/b/.env"}),
        ("*.env", {".env", "a/.env", "a/b/.env", "x.env"}),
        ("secrets", {"secrets", "secrets/k"}),
        ("secrets/", {"secrets", "secrets/k"}),
        ("./secrets/*", {"secrets/k"}),
        ("secrets/**", {"secrets/k"}),
        ("**/secrets/**", {"secrets/k", "sub/secrets/k"}),
        ("**/secrets", {"secrets", "secrets/k", "sub/secrets/k"}),
        ("a/**/b", {"a/b", "a/b/.env", "a/x/b", "a/x/y/b"}),
        ("src/*.py", {"src/a/b.py"}),
        (".", set(PATHS)),
        ("./", set(PATHS)),
    ],
)
@pytest.mark.parametrize("spelling", ["{}", "./{}", "/workspace/{}", "/workspace//./{}"])
@pytest.mark.parametrize("tool", ["read_file", "write_file", "edit_file", "save_artifact"])
def test_a_path_and_a_pattern_may_be_spelled_in_any_way(
    pattern: str, covered: set[str], spelling: str, tool: str
) -> None:
    permissions = Permissions(allowed=[tool], disallowed=[f"{tool}({pattern})"])
    denied = {
        path
        for path in PATHS
        if decide(permissions, tool, {"path": spelling.format(path)}, WRITE).kind == "deny"
    }
    assert denied == covered


@pytest.mark.parametrize("tool", ["list_files", "search_files"])
@pytest.mark.parametrize("pattern", ["secrets", "secrets/", "secrets/*", "**/secrets/**"])
def test_a_restriction_covers_reading_the_directory(tool: str, pattern: str) -> None:
    permissions = Permissions(allowed=[tool], disallowed=[f"{tool}({pattern})"])
    assert decide(permissions, tool, {"path": "secrets/"}, READ).kind == "deny"
    assert decide(permissions, tool, {"path": "other"}, READ).kind == "run"
    everything = Permissions(allowed=[tool], disallowed=[f"{tool}(.)"])
    assert decide(everything, tool, {}, READ).kind == "deny"


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("./src/*", {"src/a/b.py"}),
        ("src/", {"src/a/b.py"}),
        ("src", set()),
        ("/workspace/src/a/b.py", {"src/a/b.py"}),
        ("**/b", {"a/b", "a/x/b", "a/x/y/b", "ax/b"}),
        ("a/**", {"a/.env", "a/b/.env", "a/b", "a/x/b", "a/x/y/b"}),
        ("*/.env", {"a/.env", "a/b/.env"}),
    ],
)
def test_a_pattern_that_allows_covers_no_more_than_it_says(pattern: str, allowed: set[str]) -> None:
    permissions = Permissions(allowed=[f"read_file({pattern})"])
    found = {p for p in PATHS if decide(permissions, "read_file", {"path": p}, READ).kind == "run"}
    assert found == allowed


@pytest.mark.parametrize("rule", ["bash", "bash(*)", "b*", "*"])
def test_a_tool_that_is_forbidden_as_a_whole_is_not_offered(rule: str) -> None:
    permissions = Permissions(allowed=["bash", "bash(git *)"], ask=["bash"], disallowed=[rule])
    assert not permissions.offers("bash")
    verdict = decide(permissions, "bash", {"command": "git log"}, RUN)
    assert (verdict.kind, verdict.rule) == ("deny", rule)
    assert Permissions(allowed=["bash"], disallowed=["bash(rm *)"]).offers("bash")


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


@given(
    st.sampled_from(["", "x", "cd a"]),
    st.sampled_from([";", "|", "&", "`", "\n", "$(", "&&", "||", "<("]),
    WORDS,
)
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
        ("mcp__srv", "Write 'mcp__srv__*' for all tools of an MCP server, or 'mcp__srv__TOOL'"),
        ("mcp__*", "Write 'mcp__SERVER__*'"),
    ],
)
def test_unknown_names_come_with_what_to_write(name: str, expected: str) -> None:
    [problem] = problems(["read_file", name])
    assert problem.loc == (1,)
    assert expected in problem.msg


@pytest.mark.parametrize(
    ("rule", "suggested"),
    [
        ("read_file(/etc/*)", "'read_file(etc/*)'"),
        ("write_file(/tmp/*)", "'write_file(tmp/*)'"),
        ("read_file(../x)", "'read_file(x)'"),
        ("read_file(../../x/../y)", "'read_file(y)'"),
        ("read_file(a/../b)", "'read_file(b)'"),
        ("edit_file(/workspace/../x)", "'edit_file(x)'"),
        ("read_file(/)", "'read_file(*)'"),
        ("read_file(..)", "'read_file(*)'"),
        ("read_file(a\0b)", "cannot contain NUL"),
        ("list_files( )", "write 'list_files'"),
        ("bash( )", "write 'bash'"),
        ("bash(\t\n)", "write 'bash'"),
        ("bash(true; rm *)", "'bash(true)', 'bash(rm *)'"),
        ("bash(cd a && rm *)", "'bash(cd a)', 'bash(rm *)'"),
        ("bash(git log | head *)", "'bash(git log)', 'bash(head *)'"),
        ("bash(rm *;)", "'bash(rm *)'"),
        ("bash(rm * &)", "'bash(rm *)'"),
        ("bash(git log > *)", "'bash(git log)'"),
        ("bash((rm *))", "'bash(rm *)'"),
        ("bash(! rm *)", "'bash(rm *)'"),
        ("bash(if true; then rm *; fi)", "'bash(true)', 'bash(rm *)'"),
        ("bash(if *)", "without keywords"),
        ("bash(A=*)", "without keywords"),
        ("bash(git:*)", "'bash(git *)'"),
    ],
)
def test_a_rule_that_no_call_can_match_comes_with_one_that_can(rule: str, suggested: str) -> None:
    [problem] = problems(["read_file", rule])
    assert (problem.loc, problem.type) == ((1,), "rule_without_effect")
    assert problem.msg.startswith(f"{rule!r} can never match.")
    assert suggested in problem.msg


@pytest.mark.parametrize(
    "rule",
    [
        *("bash(*)", "bash(**)", "bash(* --force)", "bash(rm  *)", "bash( git *)", "bash(rm*)"),
        *("bash(/bin/rm *)", "bash(npm run test:*)", 'bash(git commit -m "*)', "bash(export *)"),
        *("bash(python3 -c '*)", "bash(git commit -m 'a; b')", "bash(time *)", "bash(git * main)"),
        *("read_file(./.env)", "read_file(/workspace/.env)", "read_file(**/.env)", "read_file(**)"),
        *("read_file(secrets/)", "read_file(secrets)", "read_file(.)", "read_file(a b/*)"),
        *("read_file(...)", "read_file(..a/*)", "list_files(/workspace/)"),
    ],
)
def test_a_rule_that_a_call_can_match_is_accepted(rule: str) -> None:
    assert problems([rule]) == []


def test_rules_are_short_enough_to_be_checked() -> None:
    rules = [f"bash({'a; ' * 98})"] * 20
    assert len(problems(rules)) == len(rules)
    [problem] = problems([f"read_file({'a' * LONGEST_RULE})"])
    assert (problem.type, "at most 300 characters" in problem.msg) == ("too_long", True)


def test_a_rule_that_allows_has_no_assignment() -> None:
    rules = ["bash(CI=1 A= make *)", "read_file(a=b c)"]
    [problem] = problems(rules, are_allowing=True)
    assert (problem.loc, problem.type) == ((0,), "rule_without_effect")
    assert "'bash(make *)'" in problem.msg
    assert problems(rules) == []


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


def test_a_rule_that_restricts_delegate_restricts_delegate_many() -> None:
    everything = Permissions(["*"], disallowed=["delegate"])
    assert not everything.offers("delegate_many")
    asked = Permissions(["*"], ask=["delegate"])
    assert decide(asked, "delegate_many", {}, ToolEffect.IDEMPOTENT).kind == "ask"
    assert not Permissions(["delegate"]).offers("delegate_many")
    assert Permissions(["*"], disallowed=["delegate_many"]).offers("delegate")
