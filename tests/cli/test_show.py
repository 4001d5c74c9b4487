import io
import json

import pytest

from cli.commands.executions import print_tree
from cli.terminal import show
from cli.terminal.consoles import Terminal
from domain.text import clean

FORGED = "Run ls?\x1b[2J\x1b[1;1HRun date?\x1b]52;c;ZXZpbA==\x07\x9b2J\u202ehs.x\ud800\r"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a colourless terminal is sent."""
    written = io.StringIO()
    monkeypatch.setattr(show, "out", Terminal(file=written, width=300))
    return written


def test_what_names_a_deleted_resource_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(show, "err", Terminal(file=written, width=300), raising=False)
    show.warn_of_dependents(None)
    show.warn_of_dependents({"named_by": []})
    assert written.getvalue() == ""
    named = [{"kind": "task", "name": "a"}, {"kind": "mcp_server", "name": "b"}]
    show.warn_of_dependents({"named_by": named})
    assert "Still named by task 'a', mcp server 'b'" in written.getvalue()


@pytest.mark.parametrize("way", ["line", "parts", "row", "heading", "fields"])
def test_no_text_acts_on_the_terminal(terminal: io.StringIO, way: str) -> None:
    match way:
        case "line":
            show.out.print(FORGED)
        case "parts":
            show.out.print_line((FORGED, "bold"), FORGED)
        case "row":
            show.print_rows(["title"], [[FORGED]], nothing="none")
        case "heading":
            show.print_rows([FORGED], [["x"]], nothing="none")
        case "fields":
            show.print_fields({"title": FORGED})
    shown = terminal.getvalue()
    assert "Run ls?␛[2J" in shown
    assert "⟨U+202E⟩" in shown
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\ud800", "\r"} & set(shown)


def test_json_can_be_encoded_whatever_it_contains(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    value = {"text": "A\ud99c", "\ud800": ["\ud83d\ude00"], "options": ["\udfff"]}
    show.print_json(value)
    show.print_json_line(value)
    shown = {"text": "A\ufffd", "\ufffd": ["\U0001f600"], "options": ["\ufffd"]}
    *document, line = capsysbinary.readouterr().out.decode().splitlines()
    assert json.loads("".join(document)) == json.loads(line) == shown


def test_lines_and_tabs_stay(terminal: io.StringIO) -> None:
    show.out.print("a\n\tb")
    assert terminal.getvalue().splitlines()[0] == "a"


def test_a_time_says_that_it_is_utc() -> None:
    assert show.format_time("2026-11-22T02:00:00.123456Z") == "2026-11-22 02:00:00Z"
    assert show.format_time(None) == "-"


MARKUP = "[red]no[/] [/] :smile: echo :warning: \\[x] http://a.example 'b' True"


@pytest.mark.parametrize("way", ["line", "parts", "row", "heading", "fields", "name", "text"])
def test_no_text_is_markup(terminal: io.StringIO, way: str) -> None:
    match way:
        case "line":
            show.out.print(MARKUP)
        case "parts":
            show.out.print_line((MARKUP, "bold"))
        case "row":
            show.print_rows(["title"], [[MARKUP]], nothing="none")
        case "heading":
            show.print_rows([MARKUP], [["x"]], nothing="none")
        case "fields":
            show.print_fields({"title": MARKUP})
        case "name":
            show.print_name({"name": MARKUP, "id": "5"})
        case "text":
            show.out.print_text(MARKUP)
    assert MARKUP in terminal.getvalue()


LONG = "word " * 200 + "漢字 " * 100 + "x" * 500


@pytest.mark.parametrize("text", [LONG, FORGED, MARKUP, "a\tb\r\nc\x07\n\n", "{}\n", "", " x "])
def test_a_text_of_a_model_is_piped_byte_for_byte(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    written = io.StringIO(newline="")
    monkeypatch.setattr(show, "out", Terminal(file=written, width=80))
    show.out.print_text(text)
    expected = clean(text)
    assert written.getvalue() == (expected if expected.endswith("\n") else expected + "\n")


def test_a_row_is_one_line(terminal: io.StringIO) -> None:
    show.print_rows(["title", "id"], [["Run ls?\nRun date?", "5"]], nothing="none")
    assert terminal.getvalue().splitlines()[1].split() == ["Run", "ls?␊Run", "date?", "5"]


def test_lines_are_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(show, "out", Terminal(file=written, width=80))
    show.print_fields({"name": "a", "text": LONG, "more": "b\nc"})
    show.out.print(LONG)
    show.out.print_line(LONG)
    assert written.getvalue() == (f"name a\ntext {LONG}\nmore b\n     c\n{LONG}\n{LONG}\n")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_json_is_ascii_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_terminal: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    show.print_json({"a": "é\u202e\x9b"})
    show.print_json_line(["\ud800é"])
    printed = capsys.readouterr().out
    expected = (chr(0xD800) if is_terminal else chr(0xFFFD)) + "é"
    assert json.loads(printed.splitlines()[-1]) == [expected]
    assert printed.isascii() == is_terminal
    assert "\ud800" not in printed


def test_a_tree_shows_each_execution_below_its_parent(terminal: io.StringIO) -> None:
    root = {"depth": 0, "title": "Ship it", "status": "running", "agent_id": None}
    child = {"depth": 1, "title": "Test it", "status": "failed", "agent_id": "tester"}
    print_tree(
        {
            "items": [{**root, "cost_usd": 0.5, "id": "a"}, {**child, "cost_usd": 0.25, "id": "b"}],
            "totals": {
                "executions": 2,
                "by_status": {"running": 1, "failed": 1},
                "cost_usd": 0.75,
            },
            "is_truncated": True,
        }
    )
    assert terminal.getvalue().splitlines() == [
        "Ship it  running  $0.5000  a",
        "  Test it  failed  tester  $0.2500  b",
        "2 executions: 1 running, 1 failed; $0.7500; there are more than are listed",
    ]
