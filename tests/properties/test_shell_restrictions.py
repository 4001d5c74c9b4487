"""A rule that restricts a program holds wherever bash runs the program."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.rules.decisions import decide
from domain.rules.permissions import Permissions
from domain.tools.calls import ToolEffect
from tests.domain.command_lines import MarkingBash

NAMES = ["rm", r"\rm", r"r\m", '"rm"', "'rm'", 'r"m"', "r''m", "$'rm'", "/bin/rm", "r\\\nm", "$RM"]
BEFORE = [
    *("", "! ", "time ", "exec ", "command ", "builtin command ", "eval ", "coproc ", "A=1 "),
    *(">f ", "2>&1 ", "</dev/null >f ", "A=1 B='c d' ", "env ", "nohup ", "timeout -s 9 5 "),
    *("xargs ", "sudo -u a ", "nice -n 5 ", "find . -exec ", "\t", "\\\n "),
]
ARGUMENTS = [
    "",
    " x",
    " -rf x y",
    ' "a b"',
    " $x",
    " *",
    " x >f",
    " <f x 2>&1",
    " 'a;b'",
    " \\\n x",
]
AROUND = [
    *("{}", "true; {}", "true\n{}", "{} & wait", "true && {}", "false || {}", ": | {}", "{} | cat"),
    *("( {} )", "{{ {}; }}", "if true; then {}; fi", "if {}; then :; fi", "echo a # b\n{}"),
    *("if false; then :; else {}; fi", "for i in 1; do {}; done", "while :; do {}; break; done"),
    *(
        "case x in x) {};; esac",
        "f() {{ {}; }}; f",
        "[[ -n x ]] && {}",
        "((1)) && {}",
        "echo $({})",
    ),
    *('echo "$({})"', "a=$({})", "cat <({})", "cat <<E\n$({})\nE", "cat <<'E'\na\nE\n{}"),
    *(
        "echo 'a;b' \"c|d\"; {}",
        "echo a\\;b; {}",
        "echo $((1 + 2)); {}",
        "a=(b c); {}",
        "echo a#b; {}",
    ),
]

commands = st.builds(
    "{}{}{}".format, st.sampled_from(BEFORE), st.sampled_from(NAMES), st.sampled_from(ARGUMENTS)
)
lines = st.recursive(
    commands, lambda inner: st.builds(str.format, st.sampled_from(AROUND), inner), max_leaves=4
)

PIECES = [
    *("rm x", "rm", "x", " ", " ", "\n", ";", "&", "&&", "|", "(", ")", "{", "}", "[[", "]]", "(("),
    *("))", "$(", ")", "`", '"', "'", "$'", "\\", "\\\n", "#", " #", "if", "then", "fi", "do"),
    *(
        "done",
        "for i in a;",
        "case x in",
        "x)",
        ";;",
        "esac",
        "<<E",
        "\nE\n",
        "<<'E'",
        "<<-E",
        ">f",
    ),
    *(
        "<f",
        "2>&1",
        "<(",
        "${x:-",
        "$x",
        "x=",
        "a[",
        "]",
        "!",
        "time",
        "echo",
        "true",
        "eval",
        "$((",
    ),
    *(
        "exec",
        "coproc",
        "\r",
        "\t",
        "E",
        "\u00a0",
        "<<<",
        "<&",
        "&>",
        "in",
        "$",
        "${",
        "trap",
        "cat",
    ),
]
soup = st.lists(st.sampled_from(PIECES), min_size=2, max_size=12).map(" ".join) | st.lists(
    st.sampled_from(PIECES), min_size=2, max_size=12
).map("".join)


@given(lines)
def test_a_restriction_holds_in_every_position(line: str) -> None:
    call = ("bash", {"command": line}, ToolEffect.WORKSPACE)
    assert decide(Permissions(allowed=["bash"], disallowed=["bash(rm *)"]), *call).kind == "deny"
    assert decide(Permissions(allowed=["bash"], ask=["bash(rm *)"]), *call).kind == "ask"


@pytest.mark.long
def test_no_odd_line_that_may_run_runs_the_program(tmp_path: Path) -> None:
    """Pieces of shell syntax in any order: the parser may be stricter than bash, never laxer."""
    bash = MarkingBash(tmp_path)

    @settings(max_examples=20_000)
    @given(soup)
    def check(line: str) -> None:
        restricted = Permissions(allowed=["bash"], disallowed=["bash(rm *)"])
        allowed = Permissions(allowed=["bash(echo *)", "bash(true *)", "bash(cat *)"])
        for permissions in (restricted, allowed):
            verdict = decide(permissions, "bash", {"command": line}, ToolEffect.WORKSPACE)
            may_run = verdict.kind == "run" and "rm" in line
            assert not (may_run and bash.runs_rm(line, seconds=2))

    check()
