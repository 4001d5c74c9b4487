"""`perdure inbox` on a terminal: the open requests on a full screen, with the keys of the page."""

import json
import os
import re
import select
import shlex
import subprocess
import sys
import tempfile
import termios
import time
import tty
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.connection.client import Client, Json
from cli.exits import CommandError
from cli.inbox.answering import YES_OR_NO, ask, make_edit, print_request
from cli.terminal.consoles import Terminal, style_text
from cli.terminal.prompts import read_line
from domain.people.requests import RequestKind

KEYS = (
    ("J, K", "Next or previous request"),
    ("Enter", "Show all of a request, and back"),
    ("Space", "The next lines of a request"),
    ("A", "Approve, or answer"),
    ("R", "Reject"),
    ("E", "Edit the input of a tool call, and approve it"),
    ("C", "Comment"),
    ("U", "Undo the last answer, within 5 seconds"),
    ("?", "Show these keys"),
    ("Q", "Quit"),
)
HINT = "? keys, Q quit, J K move, Enter open, A approve, R reject, E edit, C comment, U undo"
UNDO_SECONDS = 5.0
REFRESH_SECONDS = 3.0
"""Between two looks at the list while no key is pressed (chosen)."""

IMMEDIATE = frozenset({RequestKind.BUDGET, RequestKind.PLAN_APPROVAL})
"""Kinds whose answers take effect at once."""

MOST_BYTES = 64
"""Bytes to read at once: those of keys that were pressed while the screen was drawn (chosen)."""

SEQUENCE_SECONDS = 0.05
"""For the rest of a sequence that began with Escape (chosen: a slow connection splits them)."""

_KEY = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O?.)|.", re.DOTALL)
"""What a terminal sends for a key: a character, or a sequence that begins with Escape. The letters
in a sequence are not keys."""

_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_ARROWS = {"\x1b[A": "k", "\x1bOA": "k", "\x1b[B": "j", "\x1bOB": "j"}


class Keyboard:
    """Reads single keys from the terminal while it is started."""

    def __init__(self) -> None:
        """The terminal stays as it is until `start`."""
        self._input = sys.stdin.fileno()
        self._usual = termios.tcgetattr(self._input)
        self._pressed: deque[str] = deque()

    def start(self) -> None:
        """Receive each key at once, and without an echo."""
        tty.setcbreak(self._input)

    def stop(self) -> None:
        """Make the terminal what it was."""
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._usual)

    def read(self, seconds: float) -> str | None:
        """The next key, None if there is none within that time; `q` if the terminal is closed."""
        if not self._pressed:
            pressed = self._read(seconds)
            if pressed is None:
                return None
            self._pressed.extend(_KEY.findall(pressed) or "q")
        key = self._pressed.popleft()
        return _ARROWS.get(key, key.lower())

    def discard(self) -> None:
        """Drop the keys that were pressed until now."""
        self._pressed.clear()
        termios.tcflush(self._input, termios.TCIFLUSH)

    def _read(self, seconds: float) -> str | None:
        if not select.select([self._input], [], [], seconds)[0]:
            return None
        text = os.read(self._input, MOST_BYTES).decode("utf-8", "replace")
        return text + (self._read(SEQUENCE_SECONDS) or "") if _UNFINISHED.search(text) else text


class InboxScreen:
    """The open requests, and the one that is chosen below them."""

    def __init__(self, client: Client) -> None:
        """Reads and draws nothing before `run`."""
        self._client = client
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._keyboard = Keyboard()
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._requests: list[Json] = []
        self._shown: dict[str, Json] = {}
        self._chosen = 0
        self._first_line = 0
        self._is_open = False
        self._has_keys = False
        self._is_cut = False
        self._is_replaced = False
        self._note = ""
        self._undoable: tuple[str, float] | None = None
        self._actions: Mapping[str, Callable[[], None]] = {
            "j": lambda: self._move(1),
            "k": lambda: self._move(-1),
            "\n": self._toggle,
            "\r": self._toggle,
            " ": self._scroll,
            "a": self._approve,
            "r": self._reject,
            "e": self._edit,
            "c": self._comment,
            "u": self._undo,
        }

    def run(self) -> None:
        """Show the requests until the person quits."""
        try:
            self._resume()
            self._load()
            while self._handle(self._keyboard.read(REFRESH_SECONDS)):
                self._draw()
        finally:
            self._suspend()

    def _handle(self, key: str | None) -> bool:
        """Do what a key means; whether the screen stays."""
        if key == "q":
            return False
        if key is not None:
            self._note = ""
        if key == "?" or (self._has_keys and key is not None):
            self._has_keys = not self._has_keys
            return True
        try:
            self._actions.get(key or "", self._load)()
        except CommandError as error:
            self._note = str(error)
        return True

    # --- the requests -----------------------------------------------------------------------------

    def _load(self, chosen_id: str | None = None) -> None:
        """Read the list again, and choose this request, or keep the choice if it is still open."""
        before, page = (
            self._chosen_id,
            self._client.call("list_input_requests", status="open", page_size=100),
        )
        self._requests = page["items"]
        self._shown.clear()
        places = {one["id"]: place for place, one in enumerate(self._requests)}
        last = max(len(self._requests) - 1, 0)
        self._chosen = places.get(chosen_id or before, min(self._chosen, last))
        if self._chosen_id != before:
            self._is_replaced, self._is_open, self._first_line = True, False, 0
            if before is not None and not self._note:
                self._note = "The request was answered elsewhere, or has ended."
        self._draw()

    @property
    def _chosen_id(self) -> str | None:
        return self._requests[self._chosen]["id"] if self._requests else None

    def _read_chosen(self) -> Json:
        """All of the chosen request.

        Raises:
            CommandError: no request is open.
        """
        request_id = self._chosen_id
        if request_id is None:
            raise CommandError("Nothing waits for you.")
        if request_id not in self._shown:
            self._shown[request_id] = self._client.call("get_input_request", request_id=request_id)
        return self._shown[request_id]

    def _move(self, step: int) -> None:
        self._chosen = max(0, min(len(self._requests) - 1, self._chosen + step))
        self._first_line = 0

    def _toggle(self) -> None:
        self._is_open = not self._is_open and bool(self._requests)
        self._first_line = 0

    def _scroll(self) -> None:
        self._first_line = self._first_line + self._body_height() - 1 if self._is_cut else 0

    # --- what a person decides --------------------------------------------------------------------

    def _approve(self) -> None:
        request = self._read_chosen()
        if request["kind"] not in YES_OR_NO or request["kind"] == RequestKind.BUDGET:
            with self._leave_terminal():
                body = ask(request)
            self._answer(request, body)
            return
        if self._is_cut and not self._is_open:
            self._note = "There is more of it: press Enter to see all, then A."
            return
        self._answer(request, {"decision": "approve"})

    def _reject(self) -> None:
        request = self._read_chosen()
        if request["kind"] == RequestKind.EFFECT_CHECK:
            raise CommandError("Press A, and choose happened, not_happened or skip.")
        with self._leave_terminal():
            reason = read_line(f"{request['title']}  Why not? (optional)")
        self._answer(request, {"decision": "deny", **({"message": reason} if reason else {})})

    def _edit(self) -> None:
        request = self._read_chosen()
        if not request.get("tool_call"):
            raise CommandError("Only the input of a tool call can be edited.")
        before = json.dumps(request["tool_call"]["input"], indent=2, ensure_ascii=False)
        with self._leave_terminal():
            after = edit_text(before)
        if after.strip() == before.strip():
            raise CommandError("Nothing was changed, so nothing was answered.")
        self._answer(request, make_edit(after, None))

    def _comment(self) -> None:
        request = self._read_chosen()
        with self._leave_terminal():
            text = read_line("Comment")
        if text:
            body = {"body": text}
            self._client.call("comment_on_input_request", body, request_id=request["id"])
            self._load()

    def _answer(self, request: Json, body: Json) -> None:
        """Send an answer to what was shown; it can be withdrawn for some seconds if possible."""
        if request.get("tool_call"):
            body = {**body, "input_sha256": request["tool_call"]["input_sha256"]}
        can_undo = request["kind"] not in IMMEDIATE and request["approvals_required"] == 1
        if can_undo:
            body = {**body, "undo_seconds": UNDO_SECONDS}
        self._client.call("answer_input_request", body, request_id=request["id"])
        self._note = f"Answered: {request['title']}"
        self._undoable = None
        if can_undo:
            self._note += "  (U undoes it)"
            self._undoable = (request["id"], time.monotonic() + UNDO_SECONDS)
        self._is_open = False
        self._load()

    def _undo(self) -> None:
        if self._undoable is None or time.monotonic() > self._undoable[1]:
            raise CommandError("There is no answer that can be undone.")
        request_id, self._undoable = self._undoable[0], None
        self._client.call("withdraw_answer", request_id=request_id)
        self._note = "Withdrawn; the request is open again."
        self._load(request_id)

    # --- the screen -------------------------------------------------------------------------------

    def _resume(self) -> None:
        self._keyboard.start()
        self._live.start()

    def _suspend(self) -> None:
        self._live.stop()
        self._keyboard.stop()

    @contextmanager
    def _leave_terminal(self) -> Iterator[None]:
        """Leave the terminal to a prompt or an editor; Ctrl-C there changes nothing."""
        self._suspend()
        try:
            yield
        except (KeyboardInterrupt, EOFError) as error:
            raise CommandError("Nothing was changed.") from error
        finally:
            self._resume()

    def _draw(self) -> None:
        lines = self._keys() if self._has_keys else self._content()
        height = self._console.height - 1
        lines = [*lines[:height], *[Text()] * (height - len(lines))]
        lines.append(style_text((self._note, "bold") if self._note else (HINT, "dim")))
        for line in lines:
            line.truncate(self._console.width, overflow="ellipsis")
        if self._is_replaced:
            self._keyboard.discard()  # earlier keys were for another request
            self._is_replaced = False
        self._live.update(Text("\n", no_wrap=True).join(lines), refresh=True)

    def _keys(self) -> list[Text]:
        return [
            style_text(("Keys", "bold")),
            *(style_text(f"  {key:8}", what) for key, what in KEYS),
        ]

    def _content(self) -> list[Text]:
        """The list and the chosen request. If that can't be read, it can't be approved unseen."""
        try:
            return [*self._list(), *self._detail()]
        except CommandError as error:
            self._note = str(error)
            self._is_open, self._is_cut = False, True
            return self._list()

    def _list(self) -> list[Text]:
        """The heading, and the requests around the chosen one; nothing above an open one."""
        if self._is_open:
            return []
        number = len(self._requests)
        words = {0: "Nothing waits for you.", 1: "1 request waits."}
        heading = style_text((words.get(number, f"{number} requests wait."), "bold"))
        most = self._list_height()
        first = max(0, min(self._chosen - most // 2, number - most))
        rows = [
            self._row(self._requests[place], is_chosen=place == self._chosen)
            for place in range(first, min(first + most, number))
        ]
        return [heading, *rows, *([style_text(("─" * self._console.width, "dim"))] if rows else [])]

    def _row(self, request: Json, *, is_chosen: bool) -> Text:
        call = request.get("tool_call") or {}
        about = json.dumps(call["input"], ensure_ascii=False) if call else request.get("body") or ""
        parts = (
            "> " if is_chosen else "  ",
            (f"{request['kind']:14}", "magenta"),
            f"{request['title']}  ".replace("\n", "␊"),
            (about.replace("\n", "␊"), "dim"),
        )
        row = style_text(*parts)
        if is_chosen:
            row.stylize("reverse")
        return row

    def _list_height(self) -> int:
        return max(1, min(len(self._requests), (self._console.height - 3) // 2))

    def _body_height(self) -> int:
        above = 0 if self._is_open else self._list_height() + 2
        return self._console.height - 1 - above

    def _detail(self) -> list[Text]:
        """The lines of the chosen request that fit."""
        self._is_cut = False
        if not self._requests:
            return []
        written = StringIO()
        print_request(self._read_chosen(), Terminal(file=written, width=self._console.width))
        text = Text(written.getvalue().rstrip("\n"))
        lines = list(text.wrap(self._console, self._console.width))[self._first_line :]
        height = self._body_height()
        self._is_cut = len(lines) > height
        if self._is_cut:
            more = len(lines) - height + 1
            lines = [*lines[: height - 1], style_text((f"… {more} more lines: Space", "dim"))]
        return lines


def edit_text(text: str) -> str:
    """The text after a person changed it in their editor.

    Raises:
        CommandError: the editor can't be started, or fails.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="perdure-") as directory:
        file = Path(directory) / "input.json"
        file.write_text(text + "\n", encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise CommandError(f"The editor {editor!r} failed; set EDITOR. ({error})") from error
        return file.read_text(encoding="utf-8")


def show_inbox(client: Client) -> None:
    """Show the open requests on the whole terminal until the person quits."""
    InboxScreen(client).run()
