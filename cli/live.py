"""An execution told as it happens: turns, text, tools, people, subtasks, cost."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape

from cli.client import Event, Gateway
from cli.show import money

Data = dict[str, Any]
Teller = Callable[[Data], str | None]


class Story:
    """Prints one execution's events. Text that did not stream is fetched from the transcript."""

    def __init__(self, gateway: Gateway, execution_id: str, console: Console) -> None:
        """`console` is where it is told."""
        self._gateway = gateway
        self._execution_id = execution_id
        self._console = console
        self._turn = 0
        self._told = ""  # of the current turn's text
        self._is_told = False  # all of it: deltas that come late are old news
        self._at_line_start = True
        self._cost = 0.0
        self._tell: dict[str, Teller] = {
            "execution.started": lambda _: "[cyan]▶ running[/]",
            "execution.status_changed": _status_changed,
            "turn.started": self._turn_started,
            "turn.completed": self._turn_completed,
            "message.appended": self._message_appended,
            "tool.started": lambda data: f"  ⚙ {escape(data['name'])}",
            "tool.completed": _tool_completed,
            "tool.denied": lambda data: f"  [yellow]⊘ {escape(data['name'])} was not allowed[/]",
            "input.requested": _input_requested,
            "input.answered": lambda _: "[magenta]✎ answered[/]",
            "input.expired": lambda _: "[yellow]nobody answered in time[/]",
            "subtask.started": lambda data: f"  ⤷ subtask: {escape(str(data.get('title')))}",
            "subtask.completed": lambda data: f"  ⤶ subtask {escape(str(data.get('status')))}",
            "budget.exceeded": lambda _: "[red]the budget is spent[/]",
            "artifact.saved": lambda data: f"  ⬇ {escape(str(data.get('name')))}",
            "report.ready": lambda _: "[green]the report is ready[/]",
        }

    def tell(self, event: Event) -> None:
        """Print what an event says; unknown ones say nothing."""
        if event.type == "delta":
            self._stream(event.data)
            return
        teller = self._tell.get(event.type)
        line = teller(event.data) if teller else None
        if line:
            self._line(line)

    def end(self) -> None:
        """Finish the line."""
        if not self._at_line_start:
            self._console.print()
        self._at_line_start = True

    def _stream(self, data: Data) -> None:
        if data.get("turn") == self._turn and not self._is_told:
            self._say(str(data.get("delta", "")))

    def _say(self, text: str) -> None:
        if text:
            self._told += text
            self._console.print(text, end="", markup=False, soft_wrap=True)
            self._at_line_start = text.endswith("\n")

    def _line(self, line: str) -> None:
        self.end()
        self._console.print(line)

    def _turn_started(self, data: Data) -> str:
        self._turn, self._told, self._is_told = data["turn"], "", False
        again = f", try {data['try']}" if data.get("try", 1) > 1 else ""
        return f"[dim]turn {data['turn']}{again}[/]"

    def _turn_completed(self, data: Data) -> str | None:
        if data.get("error"):
            retry = data.get("retry_in_seconds")
            then = "" if retry is None else f"; again in {retry:.0f} s"
            return f"[yellow]the model call failed: {data['error']}{then}[/]"
        self._cost += data.get("cost_usd") or 0.0
        tokens = f"{data.get('input_tokens', 0)} in, {data.get('output_tokens', 0)} out"
        return f"[dim]  {tokens}, {money(self._cost)} so far[/]"

    def _message_appended(self, data: Data) -> None:
        """Tell what of the text did not come as deltas, which may be lost or late."""
        if data["role"] != "assistant":
            return
        path = f"/task-executions/{self._execution_id}/messages"
        recent = self._gateway.get_patiently(path, page_size=100)["items"]
        message = next((item for item in recent if item["seq"] == data["seq"]), None)
        text = text_of(message["content"]) if message else ""
        if text.startswith(self._told):
            self._say(text.removeprefix(self._told))
        self._is_told = True


def text_of(content: list[Data] | str) -> str:
    """The text among a message's content blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")


def summary(execution: Data) -> str:
    """One line about a finished or waiting execution."""
    words = [execution["status"].replace("_", " ")]
    if execution.get("duration_seconds") is not None:
        words.append(f"{execution['duration_seconds']:.1f} s")
    words.append(counted(execution.get("total_turns") or 0, "turn"))
    words.append(counted(execution.get("total_tool_calls") or 0, "tool call"))
    words.append(money(execution.get("cost_usd") or 0.0))
    return " · ".join(words)


def counted(number: int, noun: str) -> str:
    """As `1 turn` or `2 turns`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _tool_completed(data: Data) -> str:
    name = escape(data["name"])
    return f"  [red]✗ {name}[/]" if data.get("is_error") else f"  [green]✓ {name}[/]"


def _input_requested(data: Data) -> str:
    answer = f"perdure inbox answer {data['input_request_id']}"
    return f"[magenta]? {escape(str(data.get('title')))}[/]\n  [dim]{answer}[/]"


def _status_changed(data: Data) -> str | None:
    if data.get("status") == "waiting_for_user":
        return "[magenta]waiting for a person[/]"
    if data.get("status") == "paused":
        return "[yellow]⏸ paused[/]"
    reason = data.get("reason")
    return f"[dim]{data.get('status')}: {escape(str(reason))}[/]" if reason else None
