"""Tools that work on files in memory, with a shell of a few words."""

import asyncio
import hashlib
import itertools
import json
import mimetypes
import re
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from domain.errors import BlobStoreUnavailableError, ToolInputError, WorkspaceNotSavedError
from domain.files.artifacts import NewArtifact
from domain.tools.builtin import BUILTIN_TOOLS, effect_of
from domain.tools.calls import (
    OnStarted,
    ProcessIdentity,
    SavedFile,
    ToolEffect,
    ToolInvocation,
    ToolOutcome,
)
from domain.tools.calls import ToolSpec as Spec
from domain.web.connections import NO_CONNECTIONS, ConnectionLog
from domain.workspaces.snapshots import WorkspaceSnapshot, WorkspaceVersion
from tests.waiting import eventually
from tools.specs import input_problem

Files = dict[str, str]
"""The text of each file of a session, by path."""

HOST = "memory"

_WAIT_FOR_FILE = re.compile(r"until \[ -e (\S+) \]; do sleep [\d.]+; done")
_WRITE = re.compile(r"echo (?P<text>.*?)(?: ?(?P<how>>>?) ?(?P<file>\S+))?")
_KILLED = 137


class InMemoryTools:
    """Runs `bash`, `read_file`, `write_file`, `list_files`, `save_artifact` and `http_request`."""

    def __init__(self) -> None:
        self.files: defaultdict[UUID, Files] = defaultdict(dict)
        self.saved: dict[str, Files] = {}
        """The files of each snapshot."""
        self.may_save = asyncio.Event()
        self.may_save.set()
        self.is_saving = asyncio.Event()
        self.save_problem: str | None = None
        self.is_sandboxed = True
        self.left = NO_CONNECTIONS
        """What the calls that are interrupted connected to."""
        self.changed: Sequence[str] = ()
        """What people have changed in working directories."""
        self._processes = itertools.count(1)
        self._killed: dict[ProcessIdentity, asyncio.Event] = {}
        self._tools: dict[str, Callable[[Files, ToolInvocation, OnStarted], Awaitable[ToolOutcome]]]
        self._tools = {
            "bash": self._bash,
            "read_file": self._read_file,
            "write_file": self._write_file,
            "list_files": self._list_files,
            "save_artifact": self._save_artifact,
            "http_request": self._http_request,
        }

    def spec(self, name: str) -> Spec | None:
        spec = BUILTIN_TOOLS.get(name)
        if spec is None or self.is_sandboxed or spec.effect is not ToolEffect.WORKSPACE:
            return spec
        return replace(spec, effect=ToolEffect.EXTERNAL)

    def input_problem(self, name: str, tool_input: object) -> str | None:
        return input_problem(name, tool_input)

    async def run(self, invocation: ToolInvocation, *, on_started: OnStarted) -> ToolOutcome:
        if problem := input_problem(invocation.name, invocation.input):
            return ToolOutcome(problem, is_error=True)
        try:
            run = self._tools[invocation.name]
            return await run(self.files[invocation.session_id], invocation, on_started)
        except ToolInputError as error:
            return ToolOutcome(error.detail, is_error=True)

    async def save_workspace(
        self, session_id: UUID, version: WorkspaceVersion, *, is_changed: bool = False
    ) -> WorkspaceSnapshot | None:
        del is_changed
        self.is_saving.set()
        await self.may_save.wait()
        if self.save_problem is not None:
            raise WorkspaceNotSavedError(self.save_problem)
        files = self.files[session_id]
        content = json.dumps(files, sort_keys=True).encode()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 == version.snapshot or not (files or version.snapshot):
            return None
        self.saved[sha256] = dict(files)
        return WorkspaceSnapshot(sha256, [], len(files), len(content))

    async def forget_connections(self, invocation: ToolInvocation) -> None:
        del invocation
        self.left = NO_CONNECTIONS

    async def list_changed(self, invocation: ToolInvocation, since: datetime) -> Sequence[str]:
        """As if people changed `changed` in the working directory of a task."""
        assert invocation.working_directory is not None
        assert since <= datetime.now(UTC)
        return self.changed

    async def list_connections(self, invocation: ToolInvocation) -> ConnectionLog:
        del invocation
        return self.left

    async def end_process(self, identity: ProcessIdentity) -> None:
        if identity in self._killed:
            self._killed[identity].set()

    async def _read_file(self, files: Files, call: ToolInvocation, _: OnStarted) -> ToolOutcome:
        path = call.input["path"]
        text = _text_of(files, path)
        if not text:
            return ToolOutcome(f"({path} is empty)")
        lines = text.removesuffix("\n").split("\n")
        return ToolOutcome("\n".join(f"{n:6}\t{line}" for n, line in enumerate(lines, 1)))

    async def _list_files(self, files: Files, call: ToolInvocation, _: OnStarted) -> ToolOutcome:
        rules = call.path_rules
        shown = [path for path in sorted(files) if rules is None or not rules.hides(path)]
        sizes = {path: len(files[path].encode()) for path in shown}
        lines = [f"{path}  ({size:,} bytes)" for path, size in sizes.items()]
        return ToolOutcome("\n".join(lines) or "(nothing in .)")

    async def _write_file(
        self, files: Files, call: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        await on_started(None)
        path, content = call.input["path"], call.input["content"]
        verb = "Replaced" if path in files else "Made"
        files[path] = content
        return ToolOutcome(f"{verb} {path} ({len(content.encode()):,} bytes).")

    async def _save_artifact(
        self, files: Files, call: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        await on_started(None)
        path = call.input["path"]
        content = _text_of(files, path).encode()
        name = call.input.get("name", path)
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        with tempfile.NamedTemporaryFile(delete=False) as copy:
            copy.write(content)
        digest = hashlib.sha256(content).hexdigest()
        file = SavedFile(name, media_type, Path(copy.name), len(content), digest)
        return ToolOutcome(f"Saved {name} ({len(content):,} bytes).", artifacts=(file,))

    async def _http_request(
        self, files: Files, call: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        """Write the method to the file `log`, and wait for the file `go`."""
        if effect_of(BUILTIN_TOOLS[call.name], call.input) is not ToolEffect.READ_ONLY:
            await on_started(None)
        files["log"] = files.get("log", "") + f"{call.input.get('method', 'GET')}\n"
        await _file_exists(files, "go")
        return ToolOutcome("HTTP 200 OK")

    async def _bash(self, files: Files, call: ToolInvocation, on_started: OnStarted) -> ToolOutcome:
        number = next(self._processes)
        identity = ProcessIdentity(HOST, number, number)
        killed = self._killed[identity] = asyncio.Event()
        await on_started(identity)
        output: list[str] = []
        running = asyncio.ensure_future(_run_command(call.input["command"], files, output))
        killing = asyncio.ensure_future(killed.wait())
        try:
            await asyncio.wait([running, killing], return_when=asyncio.FIRST_COMPLETED)
            exit_code = running.result() if running.done() else _KILLED
        finally:
            running.cancel()
            killing.cancel()
        text = "".join(output)
        ending = f"[exit code {exit_code}]"
        return ToolOutcome(f"{text}\n{ending}" if text else ending, is_error=exit_code != 0)


def _text_of(files: Files, path: str) -> str:
    if path not in files:
        raise ToolInputError(f"There is no {path} in the workspace.")
    return files[path]


async def _run_command(command: str, files: Files, output: list[str]) -> int:
    """Run a command line; returns its exit code."""
    code = 0
    for part in _WAIT_FOR_FILE.sub(r"wait-for \1", command).split(";"):
        program, _, rest = part.strip().partition(" ")
        match program:
            case "exit":
                return int(rest)
            case "touch":
                files.setdefault(rest, "")
            case "sleep":
                await asyncio.sleep(float(rest))
            case "wait-for":
                await _file_exists(files, rest)
            case _:
                code = _run_text_command(part.strip(), files, output)
    return code


async def _file_exists(files: Files, path: str) -> None:
    async def exists() -> bool:
        return path in files

    await eventually(exists, what=path)


def _run_text_command(command: str, files: Files, output: list[str]) -> int:
    program, _, rest = command.partition(" ")
    if program == "cat":
        output.append(files[rest])
        return 0
    written = _WRITE.fullmatch(command)
    if written is None:
        raise NotImplementedError(f"The shell in memory does not know {command!r}.")
    line = f"{written['text']}\n"
    if (file := written["file"]) is None:
        output.append(line)
    else:
        files[file] = (files.get(file, "") if written["how"] == ">>" else "") + line
    return 0


class InMemoryStore:
    """Keeps the bytes of artifacts, by sha256 (hex)."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.problem: str | None = None

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        if self.problem is not None:
            raise BlobStoreUnavailableError(self.problem)
        self.content[file.sha256] = file.path.read_bytes()
        file.path.unlink()
        return NewArtifact.of(file, kind=kind, tool_call_id=tool_call_id)
