"""Printing an execution's events as they arrive, until it ends or needs a person."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from cli import show
from cli.answering import answer_open_requests, list_open_requests
from cli.client import Client, Json, StreamedEvent
from cli.confirming import is_interactive
from cli.exits import Exit
from cli.program import program
from cli.terminal import Part, styled
from cli.tool_calls import print_call_end, print_call_start

WAITING = "waiting_for_user"
EXITS = {"completed": Exit.DONE, "failed": Exit.FAILED, "cancelled": Exit.FAILED}

PrintEvent = Callable[[StreamedEvent], None]
Parts = list[Part]


@dataclass(frozen=True, slots=True)
class Following:
    """How to follow an execution.

    With `watch` every event is printed, else a status line. When a person is needed: with `stay`
    it asks on a terminal and continues, else it ends with `Exit.WAITING`. `full`: inputs and
    outputs of tools are printed whole. `plan_id`: the execution is the run of this plan.
    """

    watch: bool = False
    as_json: bool = False
    stay: bool = False
    full: bool = False
    plan_id: str | None = None


def follow(client: Client, execution_id: str, how: Following) -> Exit:
    """Follow an execution to its end, and return the exit code. Ctrl-C leaves it running."""
    display = _make_display(client, execution_id, how)

    def handle_waiting() -> bool:
        if how.stay and is_interactive():
            with display.paused():
                answer_open_requests(client, execution_id)
        return how.stay

    try:
        with display:
            execution = await_end(
                client, execution_id, display.print_event, on_waiting=handle_waiting
            )
    except (KeyboardInterrupt, EOFError):
        show.err.print(f"\nDetached. It keeps running: {execution_id}")
        print_next_commands(execution_id, how.plan_id)
        return Exit.INTERRUPTED
    if how.as_json:
        (show.print_json_line if how.watch else show.print_json)(execution)
    else:
        if how.plan_id is not None:  # the steps have cost something, not the run itself
            plan = client.call_with_retries("get_plan", plan_id=how.plan_id)
            execution = {**execution, "cost_usd": plan["cost_usd"]}
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
    client: Client, execution_id: str, print_event: PrintEvent, *, on_waiting: Callable[[], bool]
) -> Json:
    """The execution when it has ended, or waits for a person and `on_waiting` returns False."""
    for event in client.stream_events(execution_id):
        print_event(event)
        if event.type != "execution.status_changed" or event.data.get("status") != WAITING:
            continue
        execution: Json = client.call_with_retries("get_execution", execution_id=execution_id)
        # The stream begins with old events, whose requests may be answered already; the status
        # changes a moment after the answer.
        is_waiting = execution["status"] == WAITING and list_open_requests(client, execution_id)
        if is_waiting and not on_waiting():
            return execution
    ended: Json = client.call_with_retries("get_execution", execution_id=execution_id)
    return ended


class Display(ABC):
    """Prints events somewhere; nothing moves on the terminal while it is paused."""

    @abstractmethod
    def print_event(self, event: StreamedEvent) -> None:
        """Print an event."""

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
    def paused(self) -> Iterator[None]:
        """Leave the terminal to others for a while."""
        self.stop()
        yield
        self.start()


def _make_display(client: Client, execution_id: str, how: Following) -> Display:
    if not how.watch:
        return StatusLine()
    return JsonLines() if how.as_json else Timeline(client, execution_id, full=how.full)


class JsonLines(Display):
    """Prints every event as a line of JSON."""

    def print_event(self, event: StreamedEvent) -> None:
        """Print an event."""
        show.print_json_line({"seq": event.seq, "type": event.type, "data": event.data})


class StatusLine(Display):
    """Shows the last event on one line of the terminal; elsewhere it prints nothing."""

    def __init__(self) -> None:
        self._turn = 0
        self._status = show.err.status(styled("starting"))

    def start(self) -> None:
        """Draw the line."""
        self._status.start()

    def stop(self) -> None:
        """Remove the line."""
        self._status.stop()

    def print_event(self, event: StreamedEvent) -> None:
        """Update the line."""
        if event.type == "turn.started":
            self._turn = event.data["turn"]
            self._status.update(styled(f"turn {self._turn}"))
        elif event.type == "tool.started":
            self._status.update(styled(f"turn {self._turn}, {event.data['name']}"))
        elif event.type == "progress":
            text = format_progress(event.data)
            self._status.update(styled(f"turn {self._turn}, {event.data['name']}: {text}"))
        elif event.type == "execution.status_changed":
            self._status.update(styled(str(event.data.get("status")).replace("_", " ")))


class Timeline(Display):
    """Prints one execution's events. Text that was not streamed is read from the transcript."""

    def __init__(self, client: Client, execution_id: str, *, full: bool = False) -> None:
        """`full`: inputs and outputs of tools are printed whole."""
        self._client = client
        self._execution_id = execution_id
        self._full = full
        self._turn = 0
        self._printed = ""  # the beginning of the current turn's text
        self._is_complete = False  # the text is printed whole: later deltas repeat it
        self._at_line_start = True
        self._cost = 0.0
        self._calls: dict[str, Json] = {}
        self._progress: dict[str, str] = {}
        self._formats: dict[str, Callable[[Json], Parts | None]] = {
            "execution.started": lambda _: [("▶ running", "cyan")],
            "execution.status_changed": _format_status,
            "turn.started": self._start_turn,
            "turn.completed": self._complete_turn,
            "message.appended": self._complete_text,
            "tool.started": self._start_tool,
            "progress": self._format_progress,
            "tool.completed": self._end_tool,
            "tool.denied": self._end_tool,
            "tools.pinned": _format_warnings,
            "tool.changed": lambda data: [
                (f"  ! {data.get('name')} has changed on its server; it was not called", "yellow")
            ],
            "input.requested": _format_request,
            "input.answered": lambda _: [("✎ answered", "magenta")],
            "input.cancelled": lambda _: [("no answer needed any more", "yellow")],
            "input.expired": lambda _: [("not answered in time", "yellow")],
            "subtask.started": lambda data: [f"  ⤷ subtask: {data.get('title')}"],
            "subtask.completed": lambda data: [
                f"  ⤶ {data.get('step', 'subtask')} {data.get('status')}"
            ],
            "budget.exceeded": lambda _: [("the budget is spent", "red")],
            "artifact.saved": lambda data: [f"  ⬇ {data.get('name')}"],
            "report.ready": lambda _: [("the report is ready", "green")],
        }

    def print_event(self, event: StreamedEvent) -> None:
        """Print an event; types that are not known print nothing."""
        if event.type == "delta":
            self._print_delta(event.data)
            return
        format_event = self._formats.get(event.type)
        parts = format_event(event.data) if format_event else None
        if parts:
            self.stop()
            show.out.print_line(*parts)

    def stop(self) -> None:
        """End a line of text that has begun."""
        if not self._at_line_start:
            show.out.print()
        self._at_line_start = True

    def _print_delta(self, data: Json) -> None:
        """Print streamed text that continues what is printed; the rest comes with the message."""
        continues = data.get("offset") == len(self._printed)
        if data.get("turn") == self._turn and continues and not self._is_complete:
            self._print_text(str(data.get("delta", "")))

    def _print_text(self, text: str) -> None:
        if text:
            self._printed += text
            show.out.print_text(text, end="")
            self._at_line_start = text.endswith("\n")

    def _start_turn(self, data: Json) -> Parts:
        self._turn, self._printed, self._is_complete = data["turn"], "", False
        attempt = f", try {data['try']}" if data.get("try", 1) > 1 else ""
        return [(f"turn {data['turn']}{attempt}", "dim")]

    def _complete_turn(self, data: Json) -> Parts:
        if data.get("error"):
            retry = data.get("retry_in_seconds")
            then = "" if retry is None else f"; next try in {retry:.0f} s"
            return [(f"the model call failed: {data['error']}{then}", "yellow")]
        self._cost += data.get("cost_usd") or 0.0
        tokens = f"{data.get('input_tokens', 0)} in, {data.get('output_tokens', 0)} out"
        return [(f"  {tokens}, {show.format_money(self._cost)} so far", "dim")]

    def _complete_text(self, data: Json) -> None:
        """Print the text that did not come as deltas, which may be lost or late."""
        if data["role"] != "assistant":
            return
        recent = self._client.call_with_retries(
            "list_messages", execution_id=self._execution_id, page_size=100
        )["items"]
        message = next((item for item in recent if item["seq"] == data["seq"]), None)
        text = "".join(_texts(message["content"])) if message else ""
        if not text.startswith(self._printed):
            self.stop()  # what was streamed is not what was kept, which is printed whole
            self._printed = ""
        self._print_text(text[len(self._printed) :])
        self._is_complete = True

    def _start_tool(self, data: Json) -> None:
        self.stop()
        print_call_start(self._find_call(data), full=self._full)

    def _format_progress(self, data: Json) -> Parts | None:
        """A line for each progress that reads differently from the last one of its call."""
        text = format_progress(data)
        if not text or self._progress.get(data["tool_call_id"]) == text:
            return None
        self._progress[data["tool_call_id"]] = text
        return [(f"  … {data['name']}: {text}", "dim")]

    def _end_tool(self, data: Json) -> None:
        self.stop()
        print_call_end(self._find_call(data, is_ended=True), full=self._full)

    def _find_call(self, data: Json, *, is_ended: bool = False) -> Json:
        """The call of an event; calls are read again where the known state is older."""
        known = self._calls.get(data["tool_call_id"])
        if known is None or (is_ended and known["completed_at"] is None):
            calls = self._client.iterate(
                "list_tool_calls", with_retries=True, execution_id=self._execution_id
            )
            self._calls = {call["id"]: call for call in calls}
        unknown = {"input": {}, "output": None, "status": None, "is_error": False, **data}
        return self._calls.get(data["tool_call_id"], unknown)


def format_progress(data: Json) -> str:
    """How far a tool call is, as its server describes it."""
    progress, total = data.get("progress"), data.get("total")
    parts = [] if progress is None or not total else [f"{progress / total:.0%}"]
    if progress is not None and not parts and not data.get("message"):
        parts.append(f"{progress:g}")
    return " ".join([*parts, data.get("message", "")]).strip()


def read_text(content: list[Json] | str) -> str:
    """The text among a message's content blocks."""
    return "\n".join(_texts(content))


def _texts(content: list[Json] | str) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block.get("type") == "text"]


def summarize(execution: Json) -> str:
    """One line about an execution that has ended or waits."""
    words = [execution["status"].replace("_", " ")]
    if execution.get("duration_seconds") is not None:
        words.append(f"{execution['duration_seconds']:.1f} s")
    words.append(_count(execution.get("total_turns") or 0, "turn"))
    words.append(_count(execution.get("total_tool_calls") or 0, "tool call"))
    words.append(show.format_money(execution.get("cost_usd") or 0.0))
    if execution.get("is_scripted"):
        words.append("scripted model, nothing was paid")
    return " · ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_request(data: Json) -> Parts:
    answer = f"{program()} inbox answer {data['input_request_id']}"
    return [(f"? {data.get('title')}", "magenta"), "\n  ", (answer, "dim")]


def _format_warnings(data: Json) -> Parts | None:
    """Print what is missing of the tools of MCP servers."""
    warnings = data.get("warnings") or ()
    return [(f"! {warning}", "yellow") for warning in warnings] or None


def _format_status(data: Json) -> Parts | None:
    if data.get("status") == WAITING:
        return [("waiting for a person", "magenta")]
    if data.get("status") == "paused":
        return [("⏸ paused", "yellow")]
    reason = data.get("reason")
    return [(f"{data.get('status')}: {reason}", "dim")] if reason else None


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
