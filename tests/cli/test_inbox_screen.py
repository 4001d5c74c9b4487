"""The full screen of `perdure inbox` on a real terminal."""

import os
import pty
from datetime import timedelta
from pathlib import Path

import pytest

from cli.inbox.screen import Keyboard
from cli.tokens import mint
from tests.cli.pseudo_terminal import terminal
from tests.cli.runner import invoke, parse_json
from tests.stack import Up

TASK = """
name: command {name}
ask_tools: [bash]
prompt_template: |
  ```script
  - tool_use: {{name: bash, input: {{command: "echo {name}"}}}}
  - text: "{{last_tool_result}}"
  ```
"""


@pytest.fixture
def environment(stack: Up) -> dict[str, str]:
    """A user with an inbox of their own."""
    secret = stack.home.jwt_secret_file.read_text().strip()
    token = mint(secret, user="decider", role="user", lives=timedelta(hours=1))
    return {"PERDURE_HOME": str(stack.home.path), "PERDURE_TOKEN": token}


def start(directory: Path, name: str, environment: dict[str, str]) -> str:
    """An execution that waits for an approval."""
    file = directory / f"{name}.yaml"
    file.write_text(TASK.format(name=name))
    waiting = invoke("run", str(file), "--leave", "--json", **environment)
    assert waiting.returncode == 4, waiting.output
    return str(parse_json(waiting)["id"])


def test_requests_are_decided_by_keys(
    stack: Up, environment: dict[str, str], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/second/changed/ "$1"\n')
    editor.chmod(0o700)
    executions = [start(tmp_path, name, environment) for name in ("first", "second", "third")]
    more = {**environment, "EDITOR": str(editor)}
    with terminal(stack, more, None, "inbox") as screen:
        screen.read_until("3 requests wait.")
        assert "echo third" in screen.read_until("? keys")  # the newest is the first
        screen.type("?")
        screen.read_until("Show these keys")
        screen.type("?")
        screen.read_until("3 requests wait.")
        # Approve the third, take it back, and reject it with a reason.
        screen.type("a")
        screen.read_until("(U undoes it)")
        screen.type("u")
        screen.read_until("Withdrawn; the request is open again.")
        screen.type("r")
        screen.read_until("Why not?")
        screen.type("Too early.\n")
        screen.read_until("2 requests wait.")
        # Comment on the second, edit and approve it.
        screen.type("c")
        screen.read_until("Comment:")
        screen.type("Looking at it.\n")
        screen.read_until("decider: Looking at it.")
        screen.type("e")
        screen.read_until("1 request waits.")
        # Open the first, and approve it there.
        screen.type("\r")
        screen.read_until("In a browser:")
        screen.type("a")
        screen.read_until("Nothing waits for you.")
        screen.type("q")
        assert screen.end() == 0
    ended = [invoke("watch", one, **environment) for one in executions]
    assert "\n    first" in ended[0].output
    assert "\n    changed" in ended[1].output
    assert "⊘ bash was not allowed" in ended[2].output
    assert "Too early." in ended[2].output


def test_elsewhere_it_is_a_list(environment: dict[str, str], tmp_path: Path) -> None:
    execution_id = start(tmp_path, "listed", environment)
    assert "echo listed" in invoke("inbox", **environment).stdout
    invoke("executions", "cancel", execution_id, **environment)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"aJ", ["a", "j"]),
        (b"\x1b[A\x1b[A\x1bOB", ["k", "k", "j"]),  # an arrow that is held down
        (b"\x1b[1;5A\x1bOQ", ["\x1b[1;5a", "\x1boq"]),  # Ctrl and an arrow, F2
    ],
)
def test_letters_of_a_sequence_are_not_keys(
    typed: bytes, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, inside = pty.openpty()
    with os.fdopen(outside, "wb", buffering=0) as person, os.fdopen(inside) as terminal_input:
        monkeypatch.setattr("sys.stdin", terminal_input)
        keyboard = Keyboard()
        keyboard.start()
        person.write(typed)
        assert [keyboard.read(1) for _ in keys] == keys
        person.write(b"aa")
        assert keyboard.read(1) == "a"
        keyboard.discard()
        assert keyboard.read(0) is None
