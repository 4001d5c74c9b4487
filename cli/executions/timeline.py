"""Prints the events of one execution as lines for people."""

from collections.abc import Callable

from cli.connection.client import Client, Json, StreamedEvent
from cli.executions.tool_calls import print_call_end, print_call_start
from cli.program import program
from cli.terminal import show
from cli.terminal.consoles import Part

WAITING = "waiting_for_user"

Parts = list[Part]


class Timeline:
    """Prints one execution's events. Text that was not streamed is read from the transcript."""

    def __init__(
        self,
        client: Client,
        execution_id: str,
        *,
        full: bool = False,
        before_output: Callable[[], None] = lambda: None,
    ) -> None:
        """`full`: inputs and outputs of tools are printed whole.

        `before_output` is called before something is printed.
        """
        self._client = client
        self._before_output = before_output
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
            self._before_output()
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
            self._before_output()
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
        self._before_output()
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
        self._before_output()
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


def _texts(content: list[Json] | str) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block.get("type") == "text"]


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
