"""Command lines are taken apart as bash does it."""

import time
from pathlib import Path

import pytest

from domain.rules import matching as rule_matching
from domain.rules.decisions import Verdict, decide
from domain.rules.permissions import Permissions
from domain.shell.commands import read
from domain.shell.grammar import MAX_CHARACTERS
from domain.tools.calls import ToolEffect
from tests.domain.command_lines import HARMLESS, RUNNING, RUNNING_ELSEWHERE, MarkingBash

RULE = "bash(rm *)"


def verdict(command: str, **rules: list[str]) -> Verdict:
    permissions = Permissions(**rules)  # type: ignore[arg-type] # the lists of rules by name
    return decide(permissions, "bash", {"command": command}, ToolEffect.WORKSPACE)


@pytest.mark.parametrize("command", [*RUNNING, *RUNNING_ELSEWHERE])
def test_no_form_hides_a_command_from_a_rule_that_restricts(command: str) -> None:
    denied = verdict(command, allowed=["bash"], disallowed=[RULE])
    assert (denied.kind, denied.rule) == ("deny", RULE)
    assert denied.reason.startswith(f"This task forbids {RULE}")
    assert verdict(command, allowed=["bash"], ask=[RULE]).kind == "ask"
    assert verdict(command, allowed=["bash(true *)", "bash(echo *)", "bash(cat *)"]).kind == "ask"


@pytest.mark.parametrize("command", HARMLESS)
def test_a_rule_leaves_other_commands_alone(command: str) -> None:
    assert verdict(command, allowed=["bash"], disallowed=[RULE]).kind == "run"
    assert verdict(command, allowed=["bash"], disallowed=["bash(/bin/rm *)"]).kind == "run"


def test_the_corpus_is_what_bash_runs(tmp_path: Path) -> None:
    bash = MarkingBash(tmp_path)
    started = {line: bash.runs_rm(line) for line in (*RUNNING, *HARMLESS)}
    assert [line for line in RUNNING if not started[line]] == []
    assert [line for line in HARMLESS if started[line]] == []


def test_without_patterns_a_command_line_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(rule_matching, "read")
    with pytest.raises(NameError):
        verdict("ls", allowed=["bash"], disallowed=["bash(x)"])
    assert verdict("ls", allowed=["bash"], disallowed=["read_file(x)"]).kind == "run"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("git log 2>/dev/null", "a redirection ('>')"),
        ("git log | head", "a pipe ('|')"),
        ("git log; git status", "a semicolon (';')"),
        ("git log;", "a semicolon (';')"),
        ("git log\ngit status", "a line break"),
        ("git log && git status", "a list of commands ('&&')"),
        ("git log &", "an ampersand ('&')"),
        ("git log $X", "a variable ('$')"),
        ('git log "${X}"', "a variable ('${')"),
        ("git log $(ls)", "a command substitution ('$(')"),
        ("git log `ls`", "a command substitution ('`')"),
        ("git diff <(ls)", "a process substitution ('<(')"),
        ("A=1 git log", "an assignment ('=')"),
        ("(git log)", "a subshell ('(')"),
        ("{ git log; }", "a group of commands ('{')"),
        ("! git log", "a negation ('!')"),
        ("if git log; then ls; fi", "'if'"),
        ("git log # all", "a comment"),
        ("git apply <<E\nx\nE", "a here-document ('<<')"),
        ("git apply <<<x", "a here-string ('<<<')"),
        ("git log $'a'", "an ANSI-C string"),
        ('git log "', "a form of shell syntax that cannot be checked"),
    ],
)
def test_what_makes_a_line_more_than_a_command_is_named(command: str, named: str) -> None:
    found = verdict(command, allowed=["bash(git *)"])
    assert found.kind == "ask"
    assert f"bash(git *) allows one simple command, and this command line contains {named}" in (
        found.reason
    )
    assert "Use one call for each command" in found.reason


@pytest.mark.parametrize(
    "command",
    [
        'git commit -m "fix; done"',
        'git log --format="%h <%an>"',
        "git commit -m 'a | b && c > d $(e) `f` $g'",
        'git commit -m "two\nlines"',
        "git log \\\n  --oneline",
        "git show HEAD^:a.py 'b' c\\ d",
    ],
)
def test_quoted_text_is_part_of_one_simple_command(command: str) -> None:
    assert verdict(command, allowed=["bash(git *)"]).kind == "run"


def test_other_uses_name_the_rules_that_would_allow_one() -> None:
    found = verdict("ls", allowed=["bash(git *)", "bash(make *)"])
    assert found.kind == "ask"
    assert "not this one: bash(git *), bash(make *)." in found.reason


@pytest.mark.parametrize(
    ("rule", "command", "applies"),
    [
        ("bash(rm  *)", "rm x", True),
        ("bash( rm *)", "rm   x", True),
        ("bash(/bin/rm *)", "/usr/bin/rm x", True),
        ("bash(/bin/rm *)", "rm x", True),
        ("bash(rm -rf *)", "rm -r x", False),
        ("bash(rm -rf *)", "rm $FLAGS x", True),
        ("bash(git push *)", "git $SUBCOMMAND", True),
        ("bash(git push *)", "git p* x", True),
        ("bash(git push *)", "git log $X", False),
        ("bash(git push *)", "git 'push' x", True),
        ("bash(git push *)", "echo push | xargs git", True),
        ("bash(sudo *)", "sudo ls", True),
        ("bash(rm *)", "sudo -u $USER $X", True),
        ("bash(rm *)", "sudo -u root $X y", True),
        ("bash(rm *)", "timeout -k 5 10 $X", True),
        ("bash(rm *)", "timeout 10 ls $X", False),
        ("bash(rm *)", "echo | xargs -I% %", True),
        ("bash(rm *)", "find . -exec {} +", True),
        ("bash(export *)", "export A=1", True),
        ('bash(git commit -m "wip*)', 'git commit -m "wip: x"', True),
        ("bash(* --force)", "git push --force", True),
        ("bash(*)", "x=1", True),
    ],
)
def test_a_pattern_meets_the_words_of_a_command(rule: str, command: str, applies: bool) -> None:  # noqa: FBT001
    found = verdict(command, allowed=["bash"], disallowed=[rule])
    assert found.kind == ("deny" if applies else "run")


@pytest.mark.parametrize(
    "text",
    [
        *("\r", "ls\rrm x", "ls \u00a0# ; rm x", "\ud800", "\0", "a" * (MAX_CHARACTERS + 1)),
        *("bash -c " * 50 + "ls", "eval " * 50 + "ls", "(" * 500, "$(" * 500, "{ " * 2000),
        *("xargs " * 200 + "ls", "'" * 999, '"${' * 300, "<<E " * 300, "\\\n" * 1000 + "\\"),
    ],
)
def test_what_cannot_be_taken_apart_is_restricted(text: str) -> None:
    assert verdict(text, allowed=["bash"], disallowed=[RULE]).kind == "deny"
    assert verdict(text, allowed=["bash(ls *)", "bash(a*)"]).kind == "ask"


@pytest.mark.parametrize(
    "text",
    [
        "ls; " * 12_000,
        "a" * 49_999,
        "$((" * 16_000,
        "if " * 16_000,
        "'$(x)' " * 7_000,
        ("xargs " * 80 + ";") * 90,
    ],
)
def test_the_longest_lines_take_seconds_at_most(text: str) -> None:
    began = time.process_time()
    verdict(text, allowed=["bash(ls *)"], disallowed=[RULE])
    assert time.process_time() - began < 5


def test_reading_again_gives_the_same() -> None:
    assert read("a; b $(c)") == read("a; b $(c)")
