"""Printing an execution's events as they arrive, until it ends or needs a person."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

from cli.connection.client import Client, Json, StreamedEvent
from cli.executions.follow_options import Following
from cli.executions.timeline import WAITING, Timeline, format_progress
from cli.executions.tree_events import TreeEvents
from cli.exits import Exit
from cli.inbox.answering import answer_open_requests, list_open_requests
from cli.program import program
from cli.terminal import show
from cli.terminal.consoles import style_text
from cli.terminal.prompts import is_interactive

EXITS = {"completed": Exit.DONE, "failed": Exit.FAILED, "cancelled": Exit.FAILED}

PrintEvent = Callable[[StreamedEvent, str], None]
"""Prints an event of the execution with this id."""


def follow(client: Client, execution_id: str, how: Following) -> Exit:
    """Follow an execution to its end, and return the exit code. Ctrl-C leaves it running."""
    display = _make_display(client, execution_id, how)

    def handle_waiting(waiting_id: str) -> bool:
        if how.stay and is_interactive():
            with display.pause():
                answer_open_requests(client, waiting_id)
        return bool(how.stay)

    try:
        with display:
            execution = await_end(
                client, execution_id, display.print_event, on_waiting=handle_waiting
            )
    except (KeyboardInterrupt, EOFError):
        show.err.print(f"\nDetached. It keeps running: {execution_id}")
        print_next_commands(execution_id, how.plan_id)
        return Exit.INTERRUPTED
    if how.output == "json" and how.watch:
        show.print_json_line(execution)
    elif how.output != "table":
        show.print_answer(execution, how.output, show.print_fields)
    else:
        if how.plan_id is not None:  # the steps do the work, not the run itself
            plan = client.call_with_retries("get_plan", plan_id=how.plan_id)
            of_plan = {name: plan[name] for name in ("cost_usd", "is_scripted", "progress")}
            execution = {**execution, **of_plan}
        _print_result(execution, with_text=not how.watch)
    return EXITS.get(execution["status"], Exit.WAITING)


def print_next_commands(execution_id: str, plan_id: str | None = None) -> None:
    """Print how to watch and to cancel an execution, or the plan whose run it is."""
    watch, cancel = f"watch {execution_id}", f"executions cancel {execution_id}"
    if plan_id is not None:
        watch, cancel = f"plans watch {plan_id}", f"plans cancel {plan_id}"
    show.err.print_line(("  watch it:   ", "dim"), f"{program()} {watch}")
    show.err.print_line(("  cancel it:  ", "dim"), f"{program()} {cancel}")


def await_end(
    client: Client,
    execution_id: str,
    print_event: PrintEvent,
    *,
    on_waiting: Callable[[str], bool],
) -> Json:
    """The execution when it has ended, or a person is needed and `on_waiting` returns False.

    `on_waiting` gets the id of the execution that waits, which may be a subtask.
    """
    for source, event in TreeEvents(client, execution_id):
        print_event(event, source)
        if event.type != "execution.status_changed" or event.data.get("status") != WAITING:
            continue
        execution: Json = client.call_with_retries("get_execution", execution_id=source)
        # The stream begins with old events, whose requests may be answered already; the status
        # changes a moment after the answer.
        is_waiting = execution["status"] == WAITING and list_open_requests(client, source)
        if is_waiting and not on_waiting(source):
            break
    found: Json = client.call_with_retries("get_execution", execution_id=execution_id)
    return found


class Display(ABC):
    """Prints events somewhere; nothing moves on the terminal while it is paused."""

    @abstractmethod
    def print_event(self, event: StreamedEvent, source: str) -> None:
        """Print an event of the execution with the id `source`."""

    def start(self) -> None:  # noqa: B027 - most have nothing to do
        """Begin, or continue, to use the terminal."""

    def stop(self) -> None:  # noqa: B027 - as above
        """Leave the terminal to others."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the terminal to others for a while."""
        self.stop()
        yield
        self.start()


def _make_display(client: Client, execution_id: str, how: Following) -> Display:
    if not how.watch:
        return StatusLine()
    if how.output == "json":
        return JsonLines(execution_id)
    return TreeTimeline(client, execution_id, full=how.full)


class JsonLines(Display):
    """Prints every event of one execution as a line of JSON."""

    def __init__(self, execution_id: str) -> None:
        self._execution_id = execution_id

    def print_event(self, event: StreamedEvent, source: str) -> None:
        """Print an event."""
        if source == self._execution_id:  # those of subtasks have other numbers
            show.print_json_line({"seq": event.seq, "type": event.type, "data": event.data})


class StatusLine(Display):
    """Shows the last event on one line of the terminal; elsewhere it prints nothing."""

    def __init__(self) -> None:
        self._turn = 0
        self._status = show.err.status(style_text("starting"))

    def start(self) -> None:
        """Draw the line."""
        self._status.start()

    def stop(self) -> None:
        """Remove the line."""
        self._status.stop()

    def print_event(self, event: StreamedEvent, source: str) -> None:  # noqa: ARG002 - one for all
        """Update the line."""
        if event.type == "turn.started":
            self._turn = event.data["turn"]
            self._status.update(style_text(f"turn {self._turn}"))
        elif event.type == "tool.started":
            self._status.update(style_text(f"turn {self._turn}, {event.data['name']}"))
        elif event.type == "progress":
            text = format_progress(event.data)
            self._status.update(style_text(f"turn {self._turn}, {event.data['name']}: {text}"))
        elif event.type == "execution.status_changed":
            self._status.update(style_text(str(event.data.get("status")).replace("_", " ")))


class TreeTimeline(Display):
    """Prints the events of an execution and of its subtasks, a heading where these change."""

    def __init__(self, client: Client, execution_id: str, *, full: bool = False) -> None:
        """`full`: inputs and outputs of tools are printed whole."""
        self._client = client
        self._root = execution_id
        self._full = full
        self._titles = {execution_id: "the execution itself"}
        self._timelines: dict[str, Timeline] = {}
        self._printed = execution_id

    def print_event(self, event: StreamedEvent, source: str) -> None:
        """Print an event; the text of a subtask is printed whole, as several may write at once."""
        if event.type == "delta" and source != self._root:
            return
        if event.type == "subtask.started":
            title = str(event.data.get("title"))
            self._titles[str(event.data.get("execution_id"))] = f"subtask: {title}"
        if source not in self._timelines:
            heading = partial(self._print_heading, source)
            self._timelines[source] = Timeline(
                self._client, source, full=self._full, before_output=heading
            )
        self._timelines[source].print_event(event)

    def _print_heading(self, source: str) -> None:
        if source != self._printed:
            self.stop()
            show.out.print_line((f"── {self._titles.get(source, source)}", "bold dim"))
            self._printed = source

    def stop(self) -> None:
        """End a line of text that has begun."""
        if self._printed in self._timelines:
            self._timelines[self._printed].stop()


def summarize(execution: Json) -> str:
    """One line about an execution, or the run of a plan, that has ended or waits."""
    words = [execution["status"].replace("_", " ")]
    if execution.get("duration_seconds") is not None:
        words.append(f"{execution['duration_seconds']:.1f} s")
    if progress := execution.get("progress"):
        words.append(f"{progress['completed']} of {_count(progress['total'], 'step')}")
    else:
        words.append(_count(execution.get("total_turns") or 0, "turn"))
        words.append(_count(execution.get("total_tool_calls") or 0, "tool call"))
    words.append(show.format_money(execution.get("cost_usd") or 0.0))
    if execution.get("is_scripted"):
        words.append("scripted model, nothing was paid")
    return " · ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_result(execution: Json, *, with_text: bool) -> None:
    result = execution.get("result_data") or {}
    if with_text and result.get("text"):
        show.out.print_text(result["text"])
    style = show.STATUS_STYLES.get(execution["status"], "default")
    show.err.print_line((summarize(execution), style), "  ", (execution["id"], "dim"))
    if execution.get("error_message"):
        code = execution.get("error_code")
        show.err.print_line((f"{code}: {execution['error_message']}", "red"))
    if execution["status"] == WAITING:
        show.err.print_line((f"It waits for a person: {program()} inbox", "magenta"))
