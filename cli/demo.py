"""`perdure demo`: one real task from end to end, told as it goes; its own stack where none runs."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cli import applying, show
from cli.answering import answer_of, open_requests
from cli.client import Gateway, Json, Place, find_place
from cli.definitions import Definition, of_fields
from cli.exits import CommandError, Exit
from cli.following import EXITS, on_a_terminal, to_the_end
from cli.live import Story, summary
from cli.stack import launch
from cli.stack.home import Home
from cli.stack.parts import inherited, own_module
from cli.stack.process import last_lines, launched
from runtime.settings import Settings

PLAN = "demo.yaml"
ANY_PORTS = ("--api-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")
# As long as a stop may take: a worker's steps in hand and the servers' own time.
STOP_SECONDS = 90


class DemoFailedError(CommandError):
    """The demonstration's own stack did not start."""

    exit = Exit.FAILED


def run(settings: Settings, *, has_key: bool) -> Exit:
    """Use the stack that runs, else start one for as long as this takes."""
    home = Home(settings.home.absolute())
    if settings.api_url or (home.path.exists() and home.is_held()):
        facts: Mapping[str, Any] = home.read_ready() or {}
        return _demonstrate(find_place(settings), facts, scripted=_is_scripted(facts))
    with _own_stack(scripted=not has_key) as facts:
        # Where nobody presses Enter the stack is gone at once, and so is its Temporal UI.
        stays = facts if on_a_terminal() else {}
        return _demonstrate(Place(facts["api_url"], facts["token"]), stays, scripted=not has_key)


def _demonstrate(place: Place, facts: Mapping[str, Any], *, scripted: bool) -> Exit:
    _say_who_answers(scripted=scripted)
    plan = yaml.safe_load((files("cli") / PLAN).read_text(encoding="utf-8"))
    with Gateway(place) as gateway:
        task = applying.apply(gateway, _task_of(plan, scripted=scripted))
        execution_id = gateway.post(f"/tasks/{task['id']}/execute")["id"]
        story = Story(gateway, execution_id, show.out)

        def answer() -> bool:
            for request in open_requests(gateway, execution_id):
                body = _answer_to(request, plan["answer"])
                show.out.print(f"[magenta]  you answer: {plan['answer']}[/]")
                gateway.post(f"/input-requests/{request['id']}/answer", body)
            return True

        execution = to_the_end(gateway, execution_id, story.tell, on_waiting=answer)
        story.end()
        _tell_what_happened(gateway, execution, facts)
    return EXITS.get(execution["status"], Exit.FAILED)


def _say_who_answers(*, scripted: bool) -> None:
    if scripted:
        show.out.print(
            "[yellow]No ANTHROPIC_API_KEY is set, so the scripted model answers: no Claude model "
            "is called and nothing is paid. Everything else is real.[/]"
        )
    else:
        show.out.print("Claude answers; this costs a few cents at most.")


def _task_of(plan: Mapping[str, Any], *, scripted: bool) -> Definition:
    task = dict(plan["task"])
    if scripted:
        task["prompt_template"] += f"\n{plan['script']}"
    return of_fields(task, Path(PLAN))


def _answer_to(request: Mapping[str, Any], words: str) -> Json:
    decision = "approve" if request["kind"] != "question" else None
    return answer_of(request, words if decision is None else None, decision)


def _tell_what_happened(gateway: Gateway, execution: Json, facts: Mapping[str, Any]) -> None:
    """What a person may want to look at next; the report stays after the stack is gone."""
    path = f"/task-executions/{execution['id']}"
    children = gateway.get(f"{path}/children")["items"]
    show.out.rule("what happened")
    text = (execution.get("result_data") or {}).get("text")
    if text:
        show.out.print(text, markup=False)
    if execution.get("error_message"):
        show.out.print(f"{execution['error_code']}: {execution['error_message']}", markup=False)
    show.out.print(f"\n{summary(execution)} · {len(children)} subtask")
    if execution.get("report_id"):
        report = Path(tempfile.gettempdir()) / f"perdure-demo-{execution['id']}.html"
        report.write_bytes(gateway.content(f"{path}/report", format="html"))
        show.out.print(f"report       {report}", soft_wrap=True)
    show.out.print(f"execution    {execution['id']}")
    if facts.get("temporal_ui_url"):
        workflow = f"{facts['temporal_ui_url']}/namespaces/default/workflows"
        show.out.print(f"in Temporal  {workflow}/{execution['workflow_id']}", soft_wrap=True)
    show.out.print("go on        `perdure up` starts a stack that stays; docs/tutorial.md leads on")


def _is_scripted(facts: Mapping[str, Any]) -> bool:
    return "scripted_model" in facts.get("pids", {})


@contextmanager
def _own_stack(*, scripted: bool) -> Iterator[Mapping[str, Any]]:
    """A stack in a temporary home, gone with everything in it when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="perdure-demo-"))
    home = Home(directory / "home")
    directory.chmod(0o711)  # the database's user must be able to pass; the home is private
    options = [*ANY_PORTS, *(["--scripted-model"] if scripted else [])]
    command = launched(own_module("cli.main", "up", *options), signal.SIGTERM, launch.SELF)
    log = directory / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            command,
            env={**inherited(), "PERDURE_HOME": str(home.path)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(up, home, log)
        yield home.read_ready() or {}
        if on_a_terminal():
            show.out.input("[dim]Press Enter to stop what was started for this. [/]")
    finally:
        up.terminate()
        up.wait(STOP_SECONDS)
        shutil.rmtree(directory)


def _wait_until_ready(up: subprocess.Popen[bytes], home: Home, log: Path) -> None:
    with show.err.status("starting Postgres, Temporal, a worker and a gateway"):
        while home.read_ready() is None:
            try:
                up.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise DemoFailedError(f"The stack did not start:\n{last_lines(log)}")
