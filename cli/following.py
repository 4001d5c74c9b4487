"""Following an execution until it ends or a person is needed, and the exit code of that."""

import sys
from collections.abc import Callable

from rich.status import Status

from cli import show
from cli.answering import ask_and_answer
from cli.client import Event, Gateway, Json
from cli.exits import Exit
from cli.live import Story, summary

WAITING = "waiting_for_user"
EXITS = {"completed": Exit.DONE, "failed": Exit.FAILED, "cancelled": Exit.FAILED}


def on_a_terminal() -> bool:
    """Whether somebody sits here who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def follow(gateway: Gateway, execution_id: str, *, watch: bool, as_json: bool, stay: bool) -> Exit:
    """Follow to the end; returns how it went.

    With `watch` every event is told, else a line shows how far it is. When a person is needed:
    with `stay` it goes on, asking here if this is a terminal; else it ends with `Exit.WAITING`.
    """

    def on_waiting() -> bool:
        if stay and on_a_terminal():
            ask_and_answer(gateway, execution_id)
        return stay

    if watch:
        story = Story(gateway, execution_id, show.out)
        execution = to_the_end(
            gateway,
            execution_id,
            _as_json if as_json else story.tell,
            on_waiting=on_waiting,
        )
        story.end()
        return _conclude(execution, as_json=as_json, one_line=True)
    with show.err.status("starting") as status:
        execution = to_the_end(gateway, execution_id, _progress(status), on_waiting=on_waiting)
    return _conclude(execution, as_json=as_json)


def to_the_end(
    gateway: Gateway,
    execution_id: str,
    tell: Callable[[Event], None],
    *,
    on_waiting: Callable[[], bool],
) -> Json:
    """The execution as it stands when there is no more to follow.

    `on_waiting` is called when it waits for a person, and says whether to go on.
    """
    path = f"/task-executions/{execution_id}"
    for event in gateway.events(execution_id):
        tell(event)
        if event.type != "execution.status_changed" or event.data.get("status") != WAITING:
            continue
        execution: Json = gateway.get_patiently(path)
        # An old event of something long answered is no reason to stop.
        if execution["status"] == WAITING and not on_waiting():
            return execution
    ended: Json = gateway.get_patiently(path)
    return ended


def _conclude(execution: Json, *, as_json: bool, one_line: bool = False) -> Exit:
    if as_json:
        (show.as_json_line if one_line else show.as_json)(execution)
    else:
        _print_result(execution, with_text=not one_line)
    return EXITS.get(execution["status"], Exit.WAITING)


def _print_result(execution: Json, *, with_text: bool) -> None:
    result = execution.get("result_data") or {}
    if with_text and result.get("text"):
        show.out.print(result["text"], markup=False)
    style = show.STATUS_STYLES.get(execution["status"], "default")
    show.err.print(f"[{style}]{summary(execution)}[/]  [dim]{execution['id']}[/]")
    if execution.get("error_message"):
        code = execution.get("error_code")
        show.err.print(f"{code}: {execution['error_message']}", style="red", markup=False)
    if execution["status"] == WAITING:
        show.err.print("It waits for a person: perdure inbox", style="magenta")


def _as_json(event: Event) -> None:
    show.as_json_line({"seq": event.seq, "type": event.type, "data": event.data})


def _progress(status: Status) -> Callable[[Event], None]:
    turn = 0

    def tell(event: Event) -> None:
        nonlocal turn
        if event.type == "turn.started":
            turn = event.data["turn"]
            status.update(f"turn {turn}")
        elif event.type == "tool.started":
            status.update(f"turn {turn}, {event.data['name']}")
        elif event.type == "execution.status_changed":
            status.update(str(event.data.get("status")).replace("_", " "))

    return tell
