import io
import json

import pytest

from cli import show
from cli.terminal import Terminal

FORGED = "Run ls?\x1b[2J\x1b[1;1HRun date?\x1b]52;c;ZXZpbA==\x07\x9b2J\u202ehs.x\ud800\r"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a colourless terminal is sent."""
    written = io.StringIO()
    monkeypatch.setattr(show, "out", Terminal(file=written, highlight=False, width=300))
    return written


@pytest.mark.parametrize("way", ["line", "markup", "row", "heading", "fields"])
def test_no_text_acts_on_the_terminal(terminal: io.StringIO, way: str) -> None:
    match way:
        case "line":
            show.out.print(FORGED, markup=False)
        case "markup":
            show.out.print(f"[bold]{FORGED}[/]")
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
    show.out.print("a\n\tb", markup=False)
    assert terminal.getvalue().splitlines()[0] == "a"


def test_a_time_says_that_it_is_utc() -> None:
    assert show.format_time("2026-11-22T02:00:00.123456Z") == "2026-11-22 02:00:00Z"
    assert show.format_time(None) == "-"
