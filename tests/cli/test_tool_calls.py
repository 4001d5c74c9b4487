"""What people are shown of tool calls: the command that ran, its exit, and its output."""

import io
from typing import Any

import pytest

from cli.executions.tool_calls import print_content, print_tool_calls
from cli.terminal import show
from cli.terminal.consoles import Terminal

LONG = "\n".join(f"line {n}" for n in range(20))


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(show, "out", Terminal(file=written, width=60))
    return written


def call(**fields: Any) -> dict[str, Any]:
    plain = {
        "name": "bash",
        "input": {"command": "echo :smile: [red]x[/]"},
        "approved_input": None,
        "output": "a\n[exit code 0]",
        "status": "completed",
        "is_error": False,
        "completed_at": "2026-11-28T10:00:00Z",
    }
    return {**plain, **fields}


def test_a_command_its_exit_and_its_output(printed: io.StringIO) -> None:
    print_tool_calls([call()], full=False)
    assert printed.getvalue() == (
        "  ⚙ bash  echo :smile: [red]x[/]\n  ✓ bash  exit code 0\n    a\n"
    )


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"output": "no\n[exit code 2]", "is_error": True}, ["✗ bash  exit code 2", "no"]),
        ({"output": "[exit code 0]"}, ["✓ bash  exit code 0"]),
        ({"output": "x\n[ended after 5 s, its time-out]"}, ["ended after 5 s, its time-out", "x"]),
        ({"output": "no rule", "status": "denied", "is_error": True}, ["⊘ bash was not allowed"]),
        ({"completed_at": None, "status": "running", "output": None}, ["… running"]),
        ({"approved_input": {"command": "ls"}}, ["⚙ bash  ls", "a person changed the input"]),
        ({"name": "read_file", "input": {"path": "é"}}, ['⚙ read_file  {"path": "é"}']),
        ({"input": {"command": "ls", "timeout": 5}}, ['{"command": "ls", "timeout": 5}']),
        ({"input": "{broken"}, ['"{broken"']),
        ({"input": {"command": "a\x1b[2Jb\u202ec\u200fd"}}, ["a␛[2Jb⟨U+202E⟩c⟨U+200F⟩d"]),
        ({"output": "x\x1b[1A\u009b2K\r\ny"}, ["x␛[1A\ufffd2K", "y"]),
    ],
)
def test_every_call_is_shown_as_it_is(
    printed: io.StringIO, fields: dict[str, Any], lines: list[str]
) -> None:
    print_tool_calls([call(**fields)], full=False)
    for line in lines:
        assert line in printed.getvalue()
    assert not {"\x1b", "\x9b", "\u202e", "\u200f"} & set(printed.getvalue())


def test_long_inputs_and_outputs_are_whole_only_if_wanted(printed: io.StringIO) -> None:
    one = call(input={"command": LONG}, output=f"{LONG}\n[exit code 0]")
    print_tool_calls([one], full=False)
    short = printed.getvalue()
    assert short.count("… 15 more lines; --full prints all") == 2
    assert "line 5" not in short
    print_tool_calls([one], full=True)
    whole = printed.getvalue().removeprefix(short)
    assert whole.count("line 19") == 2
    assert "more lines" not in whole


def test_a_message_shows_its_calls_and_results(printed: io.StringIO) -> None:
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "compaction", "content": "So far: nothing."},
        {"type": "text", "text": "[b]Look[/b] :tada:"},
        {"type": "tool_use", "id": "1", "name": "bash", "input": {"command": "ls"}},
        {
            "type": "tool_result",
            "tool_use_id": "1",
            "content": "a\n[exit code 1]",
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "b"}]},
    ]
    refused = {"host": "example.org", "port": 22, "verdict": "refused", "reason": "not listed"}
    calls = {"2": {"connections": {"connections": [refused]}}}
    print_content(content, full=False, calls=calls)
    assert printed.getvalue().splitlines() == [
        *("  (thinking)", "  (summary, read in place of all messages above)", "So far: nothing."),
        *("[b]Look[/b] :tada:", "  ⚙ bash  ls"),
        *("  ✗ result  exit code 1", "    a", "  ✓ result", "    b"),
        "    ⇄ example.org:22  refused: not listed",
    ]
