"""Printing an execution's events as they arrive, until it ends or needs a person."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from cli import show
from cli.answering import answer_open_requests
from cli.client import Client, Json, StreamedEvent
from cli.exits import Exit

WAITING = "waiting_for_user"
EXITS = {"completed": Exit.DONE, "failed": Exit.FAILED, "cancelled": Exit.FAILED}

PrintEvent = Callable[[StreamedEvent], None]


def is_interactive() -> bool:
    """Whether a person at this terminal can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def follow(client: Client, execution_id: str, *, watch: bool, as_json: bool, stay: bool) -> Exit:
    """Follow an execution to its end, and return the exit code.

    With `watch` every event is printed, else a status line. When a person is needed: with `stay`
    it asks on a terminal and continues, else it ends with `Exit.WAITING`.
    """

    def handle_waiting() -> bool:
        if stay and is_interactive():
            answer_open_requests(client, execution_id)
        return stay

    if watch:
        timeline = Timeline(client, execution_id, show.out)
        print_event: PrintEvent = _print_json_event if as_json else timeline.print_event
        execution = await_end(client, execution_id, print_event, on_waiting=handle_waiting)
        timeline.end_line()
    else:
        with show.err.status("starting") as status:
            print_event = _make_progress(status)
            execution = await_end(client, execution_id, print_event, on_waiting=handle_waiting)
    if as_json:
        (show.print_json_line if watch else show.print_json)(execution)
    else:
        _print_result(execution, with_text=not watch)
    return EXITS.get(execution["status"], Exit.WAITING)


def await_end(
    client: Client, execution_id: str, print_event: PrintEvent, *, on_waiting: Callable[[], bool]
) -> Json:
    """The execution when it has ended, or waits for a person and `on_waiting` returns False."""
    for event in client.stream_events(execution_id):
        print_event(event)
        if event.type != "execution.status_changed" or event.data.get("status") != WAITING:
            continue
        execution: Json = client.call_with_retries("get_execution", execution_id=execution_id)
        # The stream begins with old events, whose requests may be answered already.
        if execution["status"] == WAITING and not on_waiting():
            return execution
    ended: Json = client.call_with_retries("get_execution", execution_id=execution_id)
    return ended


class Timeline:
    """Prints one execution's events. Text that was not streamed is read from the transcript."""

    def __init__(self, client: Client, execution_id: str, console: Console) -> None:
        """`console` is where it prints."""
        self._client = client
        self._execution_id = execution_id
        self._console = console
        self._turn = 0
        self._printed = ""  # of the current turn's text
        self._is_complete = False  # the text is printed whole: later deltas repeat it
        self._at_line_start = True
        self._cost = 0.0
        self._formats: dict[str, Callable[[Json], str | None]] = {
            "execution.started": lambda _: "[cyan]▶ running[/]",
            "execution.status_changed": _format_status,
            "turn.started": self._start_turn,
            "turn.completed": self._complete_turn,
            "message.appended": self._complete_text,
            "tool.started": lambda data: f"  ⚙ {escape(data['name'])}",
            "tool.completed": _format_tool_result,
            "tool.denied": lambda data: f"  [yellow]⊘ {escape(data['name'])} was not allowed[/]",
            "input.requested": _format_request,
            "input.answered": lambda _: "[magenta]✎ answered[/]",
            "input.expired": lambda _: "[yellow]not answered in time[/]",
            "subtask.started": lambda data: f"  ⤷ subtask: {escape(str(data.get('title')))}",
            "subtask.completed": lambda data: f"  ⤶ subtask {escape(str(data.get('status')))}",
            "budget.exceeded": lambda _: "[red]the budget is spent[/]",
            "artifact.saved": lambda data: f"  ⬇ {escape(str(data.get('name')))}",
            "report.ready": lambda _: "[green]the report is ready[/]",
        }

    def print_event(self, event: StreamedEvent) -> None:
        """Print an event; types that are not known print nothing."""
        if event.type == "delta":
            if event.data.get("turn") == self._turn and not self._is_complete:
                self._print_text(str(event.data.get("delta", "")))
            return
        format_event = self._formats.get(event.type)
        line = format_event(event.data) if format_event else None
        if line:
            self.end_line()
            self._console.print(line)

    def end_line(self) -> None:
        """End a line of text that has begun."""
        if not self._at_line_start:
            self._console.print()
        self._at_line_start = True

    def _print_text(self, text: str) -> None:
        if text:
            self._printed += text
            self._console.print(text, end="", markup=False, soft_wrap=True)
            self._at_line_start = text.endswith("\n")

    def _start_turn(self, data: Json) -> str:
        self._turn, self._printed, self._is_complete = data["turn"], "", False
        attempt = f", try {data['try']}" if data.get("try", 1) > 1 else ""
        return f"[dim]turn {data['turn']}{attempt}[/]"

    def _complete_turn(self, data: Json) -> str | None:
        if data.get("error"):
            retry = data.get("retry_in_seconds")
            then = "" if retry is None else f"; next try in {retry:.0f} s"
            return f"[yellow]the model call failed: {data['error']}{then}[/]"
        self._cost += data.get("cost_usd") or 0.0
        tokens = f"{data.get('input_tokens', 0)} in, {data.get('output_tokens', 0)} out"
        return f"[dim]  {tokens}, {show.format_money(self._cost)} so far[/]"

    def _complete_text(self, data: Json) -> None:
        """Print the text that did not come as deltas, which may be lost or late."""
        if data["role"] != "assistant":
            return
        recent = self._client.call_with_retries(
            "list_messages", execution_id=self._execution_id, page_size=100
        )["items"]
        message = next((item for item in recent if item["seq"] == data["seq"]), None)
        text = read_text(message["content"]) if message else ""
        if text.startswith(self._printed):
            self._print_text(text.removeprefix(self._printed))
        self._is_complete = True


def read_text(content: list[Json] | str) -> str:
    """The text among a message's content blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")


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


def _format_tool_result(data: Json) -> str:
    name = escape(data["name"])
    return f"  [red]✗ {name}[/]" if data.get("is_error") else f"  [green]✓ {name}[/]"


def _format_request(data: Json) -> str:
    answer = f"perdure inbox answer {data['input_request_id']}"
    return f"[magenta]? {escape(str(data.get('title')))}[/]\n  [dim]{answer}[/]"


def _format_status(data: Json) -> str | None:
    if data.get("status") == WAITING:
        return "[magenta]waiting for a person[/]"
    if data.get("status") == "paused":
        return "[yellow]⏸ paused[/]"
    reason = data.get("reason")
    return f"[dim]{data.get('status')}: {escape(str(reason))}[/]" if reason else None


def _print_result(execution: Json, *, with_text: bool) -> None:
    result = execution.get("result_data") or {}
    if with_text and result.get("text"):
        show.out.print(result["text"], markup=False)
    style = show.STATUS_STYLES.get(execution["status"], "default")
    show.err.print(f"[{style}]{summarize(execution)}[/]  [dim]{execution['id']}[/]")
    if execution.get("error_message"):
        code = execution.get("error_code")
        show.err.print(f"{code}: {execution['error_message']}", style="red", markup=False)
    if execution["status"] == WAITING:
        show.err.print("It waits for a person: perdure inbox", style="magenta")


def _print_json_event(event: StreamedEvent) -> None:
    show.print_json_line({"seq": event.seq, "type": event.type, "data": event.data})


def _make_progress(status: Status) -> PrintEvent:
    turn = 0

    def print_event(event: StreamedEvent) -> None:
        nonlocal turn
        if event.type == "turn.started":
            turn = event.data["turn"]
            status.update(f"turn {turn}")
        elif event.type == "tool.started":
            status.update(f"turn {turn}, {event.data['name']}")
        elif event.type == "execution.status_changed":
            status.update(str(event.data.get("status")).replace("_", " "))

    return print_event
