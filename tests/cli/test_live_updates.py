"""The timeline of an execution, whatever part of the streamed text arrives."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.connection.client import Client, StreamedEvent
from cli.connection.endpoint import Endpoint
from cli.executions.timeline import Timeline
from cli.terminal import show
from cli.terminal.consoles import Terminal
from tests.cli.conftest import StackCommand
from tests.cli.runner import parse_json
from tests.stack import Up

TEXT = "ha ha ha, all of the words"
TASK = f"""
name: says much
prompt_template: |
  ```script
  - blocks:
      - {{type: text, text: "{TEXT}"}}
      - {{type: text, text: " and more."}}
  ```
"""
WHOLE = f"{TEXT} and more."


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(show, "out", Terminal(file=written, width=60))
    return written


@pytest.fixture(scope="module")
def ended(at_stack: StackCommand, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """An execution, and the number of its answer's message."""
    file: Path = tmp_path_factory.mktemp("task") / "task.yaml"
    file.write_text(TASK)
    execution = parse_json(at_stack("run", str(file), "--json"))
    messages = parse_json(at_stack("executions", "messages", execution["id"], "--json"))["items"]
    return execution["id"], next(one["seq"] for one in messages if one["role"] == "assistant")


@pytest.fixture
def client(stack: Up, stack_environment: dict[str, str]) -> Iterator[Client]:
    endpoint = Endpoint(stack.facts()["api_url"], stack_environment["PERDURE_TOKEN"])
    with Client(endpoint) as client:
        yield client


def delta(offset: int | None, text: str, turn: int = 1) -> StreamedEvent:
    data: dict[str, Any] = {"turn": turn, "delta": text}
    return StreamedEvent("delta", data if offset is None else {**data, "offset": offset})


@pytest.mark.parametrize(
    "deltas",
    [
        [],
        [delta(0, "ha"), delta(2, " ha ha"), delta(8, WHOLE[8:])],
        [delta(0, "ha"), delta(2, " ha"), delta(5, " ha")],
        [delta(11, "all of"), delta(17, " the words")],  # it begins in the middle
        [delta(0, "ha"), delta(5, " ha")],  # one is lost
        [delta(0, "ha"), delta(0, "ha")],  # one comes twice
        [delta(0, WHOLE)],
        [delta(0, "ha", turn=7)],
        [delta(None, WHOLE)],
    ],
)
def test_the_text_is_printed_from_its_beginning(
    client: Client, ended: tuple[str, int], printed: io.StringIO, deltas: list[StreamedEvent]
) -> None:
    execution_id, seq = ended
    timeline = Timeline(client, execution_id)
    timeline.print_event(StreamedEvent("turn.started", {"turn": 1}, 3))
    for part in deltas:
        timeline.print_event(part)
    timeline.print_event(StreamedEvent("message.appended", {"seq": seq, "role": "assistant"}, 4))
    timeline.print_event(delta(len(WHOLE), "late"))
    timeline.stop()
    assert printed.getvalue() == f"turn 1\n{WHOLE}\n"


def test_what_is_kept_is_printed_if_something_else_was_streamed(
    client: Client, ended: tuple[str, int], printed: io.StringIO
) -> None:
    execution_id, seq = ended
    timeline = Timeline(client, execution_id)
    timeline.print_event(StreamedEvent("turn.started", {"turn": 1}, 3))
    timeline.print_event(delta(0, "something else"))
    timeline.print_event(StreamedEvent("message.appended", {"seq": seq, "role": "assistant"}, 4))
    timeline.stop()
    assert printed.getvalue() == f"turn 1\nsomething else\n{WHOLE}\n"


def test_progress_is_printed_when_it_reads_differently(
    client: Client, ended: tuple[str, int], printed: io.StringIO
) -> None:
    call = {"turn": 1, "tool_call_id": "c", "name": "mcp__shop__order"}
    parts: list[dict[str, Any]] = [
        {"progress": 1, "total": 4, "message": "Packing"},
        {"progress": 1.001, "total": 4, "message": "Packing"},
        {"progress": 7},
        {"message": "Packed"},
        {},
    ]
    timeline = Timeline(client, ended[0])
    for part in parts:
        timeline.print_event(StreamedEvent("progress", {**call, **part}))
    assert printed.getvalue().splitlines() == [
        f"  … mcp__shop__order: {text}" for text in ("25% Packing", "7", "Packed")
    ]


DELEGATES = """
name: delegates
allowed_tools: [delegate, ask_user]
prompt_template: |
  ```script
  - text: I delegate.
    tool_use:
      name: delegate
      input:
        title: Choose a colour
        prompt: |
          Choose.

          ~~~script
          - text: I have to ask.
            tool_use: {name: ask_user, input: {question: "Which colour?", options: [red, blue]}}
          - text: It is settled.
          ~~~
  - text: "The subtask says: {last_tool_result}"
  ```
"""


def test_a_tree_is_shown_with_its_subtasks_and_their_questions(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(DELEGATES)
    waiting = at_stack("run", str(file), "--leave", "--watch")
    assert waiting.returncode == 4, waiting.output
    assert "? Which colour?" in waiting.stdout
    execution_id = waiting.stderr.split("execution  ")[1].split()[0]
    assert at_stack("inbox", "answer", "last", "blue").returncode == 0
    lines = at_stack("watch", execution_id).stdout.splitlines()
    order = [
        "  ⤷ subtask: Choose a colour",
        "── subtask: Choose a colour",
        "It is settled.",
        "  ⤶ subtask completed",
        "The subtask says: It is settled.",
    ]
    assert sorted(order, key=lines.index) == order
    *events, execution = [
        json.loads(line)
        for line in at_stack("watch", execution_id, "-o", "json").stdout.splitlines()
    ]
    assert [event["seq"] for event in events if event["seq"]] == [
        *range(1, 1 + sum(event["seq"] is not None for event in events))
    ]
    assert execution["status"] == "completed"
