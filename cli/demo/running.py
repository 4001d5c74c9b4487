"""`perdure demo`: runs one real task from end to end, and kills its worker twice on the way."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent_library.documents import ParsedDocument, read_yaml
from cli.connection.client import Client, Json, StreamedEvent
from cli.connection.endpoint import Endpoint, Given
from cli.definitions import applying
from cli.definitions.files import Definition, parse_definition
from cli.demo.outcome import print_outcome
from cli.executions.live_updates import EXITS, TreeTimeline, await_end
from cli.exits import CommandError, Exit
from cli.inbox.answering import list_open_requests, make_answer
from cli.program import program
from cli.stack import launch
from cli.stack.home import Home
from cli.stack.parts import inherit_environment, own_module
from cli.stack.process import read_tail, tie_to_parent
from cli.terminal import show
from cli.terminal.consoles import style_text
from cli.terminal.prompts import is_interactive
from runtime.settings import Settings

PLAN = "demo.yaml"
ANY_PORTS = ("--api-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")
# The longest stop: a worker completes its current steps, then the servers stop.
STOP_SECONDS = 90
UNDER_WAY_SECONDS = 1.0
"""After that time a model call or a command is in its middle: both take longer (`demo.yaml`)."""


class DemoFailedError(CommandError):
    """The demo's own stack did not start."""

    exit = Exit.FAILED


def run(settings: Settings, *, has_key: bool, keep: bool) -> Exit:
    """Run the demo on the stack that runs here, else on one that is started for it.

    Only its own stack is crashed: on another one, other work may run. `keep` starts the stack on
    this home, and leaves it running.
    """
    home = Home(settings.home.absolute())
    if settings.api_url or (home.path.exists() and home.is_held()):
        facts: Mapping[str, Any] = home.read_ready() or {}
        is_scripted = "scripted_model" in facts.get("pids", {})
        return _run_task(Given().find_endpoint(), facts, crasher=None, is_scripted=is_scripted)
    with (_kept_stack if keep else _own_stack)(home, scripted=not has_key) as own:
        facts = own.read_ready() or {}
        endpoint = Endpoint(facts["api_url"], facts["token"])
        # Without a terminal the stack stops at once, and with it the pages that the facts name.
        shown = facts if keep or is_interactive() else {}
        return _run_task(endpoint, shown, crasher=_Crasher(own), is_scripted=not has_key)


class _Crasher:
    """Kills the worker in the middle of the first model call, and of the first command."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._left = ["turn.started", "tool.started"]

    def see(self, event: StreamedEvent) -> None:
        """Kill the worker if it is in the middle of what comes next."""
        if not self._left or event.type != self._left[0]:
            return
        self._left.pop(0)
        time.sleep(UNDER_WAY_SECONDS)
        what = "model call" if event.type == "turn.started" else "command"
        worker = ((self._home.read_ready() or {}).get("pids") or {}).get("worker")
        if worker is None:
            raise DemoFailedError("The worker does not run; see `perdure logs worker`.")
        os.kill(worker, signal.SIGKILL)
        text = f"  ✂ kill -9 {worker}: the worker dies in the middle of the {what}"
        show.out.print_line((text, "bold red"))


def _run_task(
    endpoint: Endpoint, facts: Mapping[str, Any], *, crasher: _Crasher | None, is_scripted: bool
) -> Exit:
    _print_model(is_scripted=is_scripted)
    if crasher is None:
        show.out.print("Other work may run on this stack, so its worker is not killed.")
    plan = read_yaml((files("cli.demo") / PLAN).read_text(encoding="utf-8"))[0].value
    with Client(endpoint) as client:
        task = applying.apply(client, _define_task(plan, is_scripted=is_scripted))
        execution_id = client.call("execute_task", task_id=task["id"])["id"]
        timeline = TreeTimeline(client, execution_id)

        def print_event(event: StreamedEvent, source: str) -> None:
            timeline.print_event(event, source)
            if crasher is not None and source == execution_id:
                crasher.see(event)

        def answer(waiting_id: str) -> bool:
            for request in list_open_requests(client, waiting_id):
                body = _make_answer(request, plan["answer"])
                show.out.print_line((f"  you answer: {plan['answer']}", "magenta"))
                client.call("answer_input_request", body, request_id=request["id"])
            return True

        with timeline:
            execution = await_end(client, execution_id, print_event, on_waiting=answer)
        is_proven = print_outcome(client, execution, facts, was_crashed=crasher is not None)
    return EXITS.get(execution["status"], Exit.FAILED) if is_proven else Exit.FAILED


def _print_model(*, is_scripted: bool) -> None:
    if is_scripted:
        show.out.print(
            "No ANTHROPIC_API_KEY is set, so the scripted model answers: no Claude model "
            "is called and nothing is charged. Everything else is real.",
            style="yellow",
        )
    else:
        show.out.print("Claude answers; this costs at most a few cents.")


def _define_task(plan: Mapping[str, Any], *, is_scripted: bool) -> Definition:
    task = dict(plan["task"])
    if is_scripted:
        task["prompt_template"] += f"\n{plan['script']}"
    return parse_definition(ParsedDocument(task, {(): 1}), Path(PLAN))


def _make_answer(request: Mapping[str, Any], text: str) -> Json:
    if request["kind"] == "question":
        return make_answer(request, text, None)
    return make_answer(request, None, "approve")


@contextmanager
def _own_stack(_: Home, *, scripted: bool) -> Iterator[Home]:
    """A stack in a temporary home; both are removed when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="perdure-demo-"))
    home = Home(directory / "home")
    directory.chmod(0o711)  # the database's user must reach its files; the home is private
    command = tie_to_parent(_up_command(scripted=scripted), signal.SIGTERM, launch.SELF)
    log = directory / "up.log"
    up = _start(command, home, log)
    try:
        _wait_until_ready(up, home, log)
        yield home
        if is_interactive():
            show.out.input("Press Enter to stop this stack. ", markup=False)
    finally:
        up.terminate()
        up.wait(STOP_SECONDS)
        shutil.rmtree(directory)


@contextmanager
def _kept_stack(home: Home, *, scripted: bool) -> Iterator[Home]:
    """A stack on this home, which runs on when the block and this process end."""
    home = Home.open(home.path)
    home.logs.mkdir(exist_ok=True)
    log = home.log("up")
    up = _start(_up_command(scripted=scripted), home, log)
    _wait_until_ready(up, home, log)
    yield home
    show.out.print(f"the stack     keeps running; `{program()} down` stops it")


def _up_command(*, scripted: bool) -> list[str]:
    options = [*ANY_PORTS, *(["--scripted-model"] if scripted else [])]
    return own_module("cli.main", "up", *options)


def _start(command: list[str], home: Home, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env={**inherit_environment(), "PERDURE_HOME": str(home.path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_until_ready(up: subprocess.Popen[bytes], home: Home, log: Path) -> None:
    with show.err.status(style_text("starting Postgres, Temporal, a worker and a gateway")):
        while home.read_ready() is None:
            try:
                up.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise DemoFailedError(f"The stack did not start:\n{read_tail(log)}")
