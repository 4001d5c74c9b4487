"""Runs the Claude Code that `claude-agent-sdk` brings: headless, as a host does, or in a terminal.

It has a home and a working directory of its own, and connects to one MCP server.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import sys
import termios
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import claude_agent_sdk

from tests.claude_code.conversation import ScriptedConversation
from tests.waiting import eventually

BINARY = Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude"

PROMPT = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}"
ENTER, ESCAPE, UP, DOWN, RIGHT = "\r", "\x1b", "\x1b[A", "\x1b[B", "\x1b[C"

Json = dict[str, Any]
Answers = Sequence[Mapping[str, Any]]

_HOOK = """
import json, pathlib, sys, time
asked = json.load(sys.stdin)
log = pathlib.Path(sys.argv[1])
earlier = log.read_text().splitlines() if log.exists() else []
log.write_text("\\n".join([*earlier, json.dumps(asked)]) + "\\n")
while log.with_name(f"held-{len(earlier) + 1}").exists():
    time.sleep(0.1)
answers = json.loads(sys.argv[2])
answer = answers[min(len(earlier), len(answers) - 1)]
print(json.dumps({"hookSpecificOutput": {"hookEventName": "Elicitation", **answer}}))
"""
"""A command that answers elicitations one after the other; the last answer is repeated.

An answer that `ClaudeCode.hold_answer` holds waits until it is released.
"""

_CONTROLS = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[\[(][0-9;?<>=]*[A-Za-z]|\x1b[=>78]|[\x00-\x08\x0b-\x1f]"
)


class ClaudeCode:
    """A user's Claude Code with one MCP server. Its sessions are kept in `directory`."""

    def __init__(self, directory: Path, url: str, token: str, model: ScriptedConversation) -> None:
        """`model` is its model; `model.server` is the name of the MCP server."""
        self.model = model
        self._server: Json = {
            "type": "http",
            "url": url,
            "headers": {"Authorization": f"Bearer {token}"},
        }
        self.home, self.work = directory / "home", directory / "work"
        self.asked_file = directory / "asked.jsonl"
        self.log = directory / "debug.log"
        for made in (self.home / ".claude", self.work):
            made.mkdir(parents=True, exist_ok=True)
        self._hook = directory / "hook.py"
        self._hook.write_text(_HOOK)

    # --- what a run is made of ------------------------------------------------------------------

    def _command(self, *options: str, hook: Answers = (), resume: str | None = None) -> list[str]:
        servers = {"mcpServers": {self.model.server: self._server}}
        made = [
            str(BINARY),
            "--strict-mcp-config", "--mcp-config", json.dumps(servers),
            "--allowedTools", f"mcp__{self.model.server}",
            "--setting-sources", "user",
            "--debug-file", str(self.log),
            *(("--resume", resume) if resume else ()),
            *options,
        ]  # fmt: skip
        return [*made, "--settings", json.dumps(self._hook_settings(hook))] if hook else made

    def _hook_settings(self, answers: Answers) -> Json:
        parts = (sys.executable, str(self._hook), str(self.asked_file), json.dumps(answers))
        command = {"type": "command", "command": shlex.join(parts)}
        return {"hooks": {"Elicitation": [{"hooks": [command]}]}}

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "LC_ALL", "TMPDIR"}}
        return {
            **kept,
            "HOME": str(self.home),
            "TERM": "xterm-256color",
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": "sk-ant-scripted",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
        }

    @property
    def elicitations(self) -> list[Json]:
        """The elicitations that the hook got, in order."""
        if not self.asked_file.exists():
            return []
        return [json.loads(line) for line in self.asked_file.read_text().splitlines()]

    def hold_answer(self, number: int) -> None:
        """Let the hook wait with its answer to the elicitation with this number, from 1."""
        self._held(number).touch()

    async def wait_for_elicitation(self, number: int) -> None:
        """Wait until the hook has got the elicitation with this number, from 1."""

        async def has_arrived() -> bool:
            return len(self.elicitations) >= number

        await eventually(has_arrived, what=f"elicitation {number} of Claude Code")

    def release_answer(self, number: int) -> None:
        """Let the hook answer."""
        self._held(number).unlink()

    def _held(self, number: int) -> Path:
        return self.asked_file.with_name(f"held-{number}")

    # --- headless -------------------------------------------------------------------------------

    async def print_answer(
        self, prompt: str, *, hook: Answers = (), resume: str | None = None
    ) -> Json:
        """`claude -p`; the result event. A hook answers elicitations, or nothing does."""
        options = ("-p", "--output-format", "json", "--", prompt)
        command = self._command(hook=hook, resume=resume) + list(options)
        async with self._headless(command, stdin=DEVNULL) as run:
            output, _ = await run.communicate()
        result: Json = json.loads(output)
        return result

    async def host(
        self,
        prompt: str,
        *answers: Mapping[str, Any],
        resume: str | None = None,
        before_answer: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[Json, list[Json]]:
        """Run as a host of the SDK does, which answers elicitations; the result and the requests.

        The last answer is repeated. `before_answer` is awaited before each of them.
        """
        streams = ("--input-format", "stream-json", "--output-format", "stream-json")
        command = self._command("-p", *streams, "--verbose", resume=resume)
        asked: list[Json] = []
        async with self._headless(command, stdin=PIPE) as run:
            content = {"role": "user", "content": prompt}
            start = {"subtype": "initialize", "hooks": None}
            _send(run, {"type": "control_request", "request_id": "start", "request": start})
            _send(run, {"type": "user", "message": content, "session_id": ""})
            assert run.stdout is not None
            async for line in run.stdout:
                event: Json = json.loads(line)
                if event["type"] == "result":
                    break
                if event["type"] == "control_request":
                    asked.append(event["request"])
                    if before_answer is not None:
                        await before_answer()
                    answer = answers[min(len(asked), len(answers)) - 1]
                    _send(run, _control_response(event["request_id"], answer))
            else:
                raise AssertionError("Claude Code ended without a result")
        return event, asked

    @asynccontextmanager
    async def _headless(self, command: list[str], *, stdin: int) -> AsyncIterator[Process]:
        run = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.work,
            env=self._environment(),
            stdin=stdin,
            stdout=PIPE,
            start_new_session=True,
            limit=16 * 1024 * 1024,  # one event is one line
        )
        try:
            yield run
        finally:
            await _kill(run)

    # --- in a terminal --------------------------------------------------------------------------

    @asynccontextmanager
    async def terminal(
        self, *, resume: str | None = None, hook: Answers = ()
    ) -> AsyncIterator["Terminal"]:
        """The interactive program, connected to the server. It is killed when the block ends."""
        self._accept_terms()
        self.log.unlink(missing_ok=True)
        command = self._command(hook=hook, resume=resume)
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 160, 0, 0))
        run = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.work,
            env=self._environment(),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)
        terminal = Terminal(main)
        try:
            await terminal.shows(PROMPT)
            await eventually(self._is_connected, what="the connection of Claude Code")
            yield terminal
        finally:
            await _kill(run)
            terminal.close()

    @property
    def session_id(self) -> str:
        """The id of its latest session."""
        sessions = (self.home / ".claude" / "projects").glob("*/*.jsonl")
        return max(sessions, key=lambda file: file.stat().st_mtime).stem

    async def _is_connected(self) -> bool:
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f'MCP server "{self.model.server}": Successfully connected' in log

    def _accept_terms(self) -> None:
        """Skip the questions of a first start."""
        project = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        key = self._environment()["ANTHROPIC_API_KEY"][-20:]
        settings = {
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "customApiKeyResponses": {"approved": [key], "rejected": []},
            "projects": {str(self.work.resolve()): project},
        }
        file = self.home / ".claude.json"
        earlier = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**earlier, **settings}))


class Terminal:
    """A terminal with the interactive program."""

    def __init__(self, descriptor: int) -> None:
        """Reads until `close`."""
        self._descriptor = descriptor
        self._written = b""
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self._written += os.read(self._descriptor, 65536)
        except OSError:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._descriptor)

    @property
    def text(self) -> str:
        """What was written so far, without controls, and with single spaces."""
        return " ".join(_CONTROLS.sub(" ", self._written.decode(errors="replace")).split())

    async def shows(self, words: str) -> None:
        """Wait until the words appear, in what was written since the last `forget`."""

        async def is_shown() -> bool:
            return words in self.text

        try:
            await eventually(is_shown, what=f"{words!r} in the terminal")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.text[-3000:]}") from error

    def forget(self) -> None:
        """Forget what was written so far."""
        self._written = b""

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    async def prompt(self, text: str) -> None:
        """Send a prompt of one line."""
        self.press(text)
        await self.shows(text)
        self.press(ENTER)

    async def choose(self, number: int) -> None:
        """In a form with a choice and a text: choose the option with this number, and accept.

        Each key waits until the focus has moved: the program reads two keys at once as a paste.
        """
        await self.shows("Esc to answer later")
        await self._press_until(RIGHT, "Space to select")
        for _ in range(number - 1):
            await self._press_until(DOWN, PROMPT)
        await self._press_until(ENTER, f"{PROMPT} ")
        await self._press_until(ENTER, f"{PROMPT} Accept")
        await self._press_again_until(ENTER, "auto mode")

    async def _press_again_until(self, keys: str, words: str) -> None:
        """Press until the words appear: the program ignores a key that follows another too fast."""
        self.forget()
        pressed_at = 0.0

        async def is_shown() -> bool:
            nonlocal pressed_at
            if words not in self.text and time.monotonic() > pressed_at + 1:
                pressed_at = time.monotonic()
                self.press(keys)
            return words in self.text

        await eventually(is_shown, what=f"{words!r} in the terminal")

    async def _press_until(self, keys: str, words: str) -> None:
        self.forget()
        self.press(keys)
        await self.shows(words)

    def close(self) -> None:
        """Stop reading."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)


def _send(run: Process, message: Json) -> None:
    assert run.stdin is not None
    run.stdin.write(json.dumps(message).encode() + b"\n")


def _control_response(request_id: str, answer: Mapping[str, Any]) -> Json:
    response = {"subtype": "success", "request_id": request_id, "response": dict(answer)}
    return {"type": "control_response", "response": response}


async def _kill(run: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    await run.wait()
