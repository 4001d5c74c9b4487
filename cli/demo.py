"""`perdure demo`: runs one real task from end to end, on a stack of its own where none runs."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent_library.documents import ParsedDocument, read_yaml
from cli import applying, show
from cli.answering import list_open_requests, make_answer
from cli.client import Client, Endpoint, Json, find_endpoint
from cli.definitions import Definition, parse_definition
from cli.exits import CommandError, Exit
from cli.live_updates import EXITS, Timeline, await_end, is_interactive, summarize
from cli.stack import launch
from cli.stack.home import Home
from cli.stack.parts import inherit_environment, own_module
from cli.stack.process import read_tail, tie_to_parent
from cli.terminal import styled
from runtime.settings import Settings

PLAN = "demo.yaml"
ANY_PORTS = ("--api-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")
# The longest stop: a worker completes its current steps, then the servers stop.
STOP_SECONDS = 90


class DemoFailedError(CommandError):
    """The demo's own stack did not start."""

    exit = Exit.FAILED


def run(settings: Settings, *, has_key: bool) -> Exit:
    """Run the demo on the stack that runs here, else on one that is started for it."""
    home = Home(settings.home.absolute())
    if settings.api_url or (home.path.exists() and home.is_held()):
        facts: Mapping[str, Any] = home.read_ready() or {}
        return _run_task(find_endpoint(settings), facts, scripted=_is_scripted(facts))
    with _own_stack(scripted=not has_key) as facts:
        # Without a terminal the stack stops at once, and with it the UI that the facts name.
        shown = facts if is_interactive() else {}
        endpoint = Endpoint(facts["api_url"], facts["token"])
        return _run_task(endpoint, shown, scripted=not has_key)


def _run_task(endpoint: Endpoint, facts: Mapping[str, Any], *, scripted: bool) -> Exit:
    _print_model(scripted=scripted)
    plan = read_yaml((files("cli") / PLAN).read_text(encoding="utf-8"))[0].value
    with Client(endpoint) as client:
        task = applying.apply(client, _define_task(plan, scripted=scripted))
        execution_id = client.call("execute_task", task_id=task["id"])["id"]
        timeline = Timeline(client, execution_id)

        def answer() -> bool:
            for request in list_open_requests(client, execution_id):
                body = _make_answer(request, plan["answer"])
                show.out.print_line((f"  you answer: {plan['answer']}", "magenta"))
                client.call("answer_input_request", body, request_id=request["id"])
            return True

        with timeline:
            execution = await_end(client, execution_id, timeline.print_event, on_waiting=answer)
        _print_outcome(client, execution, facts)
    return EXITS.get(execution["status"], Exit.FAILED)


def _print_model(*, scripted: bool) -> None:
    if scripted:
        show.out.print(
            "No ANTHROPIC_API_KEY is set, so the scripted model answers: no Claude model "
            "is called and nothing is charged. Everything else is real.",
            style="yellow",
        )
    else:
        show.out.print("Claude answers; this costs at most a few cents.")


def _define_task(plan: Mapping[str, Any], *, scripted: bool) -> Definition:
    task = dict(plan["task"])
    if scripted:
        task["prompt_template"] += f"\n{plan['script']}"
    return parse_definition(ParsedDocument(task, {(): 1}), Path(PLAN))


def _make_answer(request: Mapping[str, Any], text: str) -> Json:
    if request["kind"] == "question":
        return make_answer(request, text, None)
    return make_answer(request, None, "approve")


def _print_outcome(client: Client, execution: Json, facts: Mapping[str, Any]) -> None:
    """Print the result and where to look next; the report stays after the stack has stopped."""
    children = client.call("list_children", execution_id=execution["id"])["items"]
    show.out.rule("what happened")
    text = (execution.get("result_data") or {}).get("text")
    if text:
        show.out.print_text(text)
    if execution.get("error_message"):
        show.out.print(f"{execution['error_code']}: {execution['error_message']}")
    show.out.print(f"\n{summarize(execution)} · {len(children)} subtask")
    if execution.get("report_id"):
        report = Path(tempfile.gettempdir()) / f"perdure-demo-{execution['id']}.html"
        content = client.read_content(
            "get_execution_report", execution_id=execution["id"], format="html"
        )
        report.write_bytes(content)
        show.out.print(f"report       {report}")
    show.out.print(f"execution    {execution['id']}")
    if facts.get("temporal_ui_url"):
        workflow = f"{facts['temporal_ui_url']}/namespaces/default/workflows"
        show.out.print(f"in Temporal  {workflow}/{execution['workflow_id']}")
    show.out.print(
        "next         `perdure up` starts a stack that stays; docs/tutorial.md continues there"
    )


def _is_scripted(facts: Mapping[str, Any]) -> bool:
    return "scripted_model" in facts.get("pids", {})


@contextmanager
def _own_stack(*, scripted: bool) -> Iterator[Mapping[str, Any]]:
    """A stack in a temporary home; both are removed when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="perdure-demo-"))
    home = Home(directory / "home")
    directory.chmod(0o711)  # the database's user must reach its files; the home is private
    options = [*ANY_PORTS, *(["--scripted-model"] if scripted else [])]
    command = tie_to_parent(own_module("cli.main", "up", *options), signal.SIGTERM, launch.SELF)
    log = directory / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            command,
            env={**inherit_environment(), "PERDURE_HOME": str(home.path)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(up, home, log)
        yield home.read_ready() or {}
        if is_interactive():
            show.out.input("Press Enter to stop this stack. ", markup=False)
    finally:
        up.terminate()
        up.wait(STOP_SECONDS)
        shutil.rmtree(directory)


def _wait_until_ready(up: subprocess.Popen[bytes], home: Home, log: Path) -> None:
    with show.err.status(styled("starting Postgres, Temporal, a worker and a gateway")):
        while home.read_ready() is None:
            try:
                up.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise DemoFailedError(f"The stack did not start:\n{read_tail(log)}")
