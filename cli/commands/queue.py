"""`perdure queue`: add work for external workers, see its order, claim it, report the result."""

import os
import shutil
import socket
from pathlib import Path
from typing import Annotated

import typer

from cli.arguments.references import ExecutionId, Reference, open_client
from cli.arguments.times import parse_later
from cli.arguments.values import ArgumentError, parse_json
from cli.command_groups.resources import NOTHING, CommandGroup, Json, argument, make_dry_run, option
from cli.terminal import show

WORK = Reference({"execution_id": ExecutionId})
GROUP = CommandGroup("queue", "Work for people and other systems.", WORK)

TOKEN = option("The token of the lease, from the claim.", kind=str, default=...)
LEASE_SECONDS = option("How long the lease lasts without a heartbeat.", kind=float | None)

PRIORITY = option("0 to 10, the highest; 5 if it is left out.", kind=int | None)
DEADLINE = option("A time, or 2h for in two hours; work near it comes first.", "--deadline")
ESTIMATE = option("How many seconds the work takes.", "--estimate", kind=float | None)


def _make_work(given: Json, _: Json) -> Json:
    """The body of new work."""
    if "input_data" in given:
        given["input_data"] = parse_json(given["input_data"], "--input")
    return {"executor": "external", **_with_deadline(given)}


def _with_deadline(given: Json, _: Json | None = None) -> Json:
    if "deadline_at" in given:
        given["deadline_at"] = parse_later(given["deadline_at"])
    return given


def _make_report(given: Json, _: Json) -> Json:
    """The report of a worker."""
    if "result" in given:
        given["output"] = parse_json(given.pop("result"), "--result")
    return given


def _print_status(status: Json) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in status["counts"].items())
    show.out.print_line(("work         ", "dim"), counts or "none")
    if status["oldest_pending_seconds"] is not None:
        age = _format_age(status["oldest_pending_seconds"])
        show.out.print_line(("oldest       ", "dim"), f"{age} s, waiting for a worker")
        average = f"{status['average_priority']:.1f} on average"
        show.out.print_line(("priority     ", "dim"), average)
    rows = [
        {
            "agent": agent["agent_id"] or "(none)",
            "oldest": _format_age(agent["oldest_pending_seconds"]),
            **{state: agent["counts"].get(state, 0) for state in status["counts"]},
        }
        for agent in status["agents"]
    ]
    columns = ", ".join(["agent", *status["counts"], "oldest pending (s): oldest?"])
    show.print_items(rows, columns, nothing="")


def _format_age(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f}"


def _print_plan(plan: Json) -> None:
    rows = [
        {**work, "batch": number}
        for number, batch in enumerate(plan["batches"], 1)
        for work in batch
    ]
    columns = "batch, status, priority: calculated_priority?, agent: agent_id?, title, id"
    show.print_items(rows, columns, nothing="There is no unfinished work.")


GROUP.add_action(
    "add",
    "execute_work",
    "Add work for a worker, and print its id.",
    "{id}",
    of=NOTHING,
    options={
        "prompt": argument("PROMPT", "What to do."),
        "title": option("In place of the first line of the prompt."),
        "agent_id": option("The agent whose work it is.", "--agent"),
        "summary": option("At most 200 characters, for lists."),
        "source": option(
            "Who requests it: human, agent_requirements, agent_planner or agent_implementation."
        ),
        "priority": PRIORITY,
        "deadline_at": DEADLINE,
        "estimated_duration_seconds": ESTIMATE,
        "prerequisites": option(
            "An execution that must be completed first; may be repeated.",
            "--after",
            kind=list[str] | None,
        ),
        "parent_execution_id": option("The execution that it is a part of.", "--parent"),
        "input_data": option("A JSON object for the worker.", "--input"),
    },
    make_body=_make_work,
    has_json=True,
    is_start=True,
)
GROUP.add_action(
    "status",
    "get_queue_status",
    "Count your work by state and agent.",
    _print_status,
    of=NOTHING,
    has_json=True,
)
GROUP.add_action(
    "plan",
    "get_queue_plan",
    "Show unfinished work in the order in which it can be done.",
    _print_plan,
    of=NOTHING,
    has_json=True,
)
GROUP.add_action(
    "change",
    "change_work",
    "Change the priority, deadline or estimate of work.",
    "{id}: priority {calculated_priority}",
    options={
        "priority": PRIORITY,
        "deadline_at": DEADLINE,
        "estimated_duration_seconds": ESTIMATE,
    },
    make_body=_with_deadline,
    has_json=True,
)


def _print_claim(claim: Json | None) -> None:
    if claim is None:
        show.out.print("There is no work.")
        return
    show.out.print_line(("execution    ", "dim"), claim["id"])
    show.out.print_line(("lease token  ", "dim"), claim["lease_token"])
    show.out.print_line(("until        ", "dim"), claim["lease_expires_at"])
    show.out.print(claim["specialist_context"])


def _print_heartbeat(state: Json) -> None:
    if state["must_stop"]:
        show.out.print(f"Stop: the execution is {state['status']} or was cancelled.")
    else:
        show.out.print(f"The lease lasts until {state['lease_expires_at']}.")


GROUP.add_action(
    "claim",
    "claim_work",
    "Claim the next work, or an execution, with a lease.",
    _print_claim,
    of=NOTHING,
    options={
        "agent_id": option("Only work of this agent.", "--agent"),
        "capabilities": option(
            "Only work whose agent needs no others; may be repeated.",
            "--capability",
            kind=list[str] | None,
        ),
        "execution_id": option("Claim this execution.", "--execution"),
        "lease_seconds": LEASE_SECONDS,
        "worker": option("Your name, which others see as claimed_by."),
        "wait": option("Seconds to wait for work if there is none, at most 60.", kind=float | None),
    },
    has_json=True,
    is_start=True,
)


def _print_stale(answer: Json) -> None:
    show.print_items(
        answer["items"],
        "action, status, title, worker: claimed_by?, last event: active_at, id: execution_id",
        nothing="No work is stale.",
    )
    _print_dry_run(answer)


def _print_dry_run(answer: Json) -> None:
    if answer["items"] and answer["dry_run"]:
        show.err.print("Nothing was changed; --apply does it.")


GROUP.add_action(
    "clean-up",
    "clean_up_work",
    "List work in which nothing has happened for long; with --apply, return it to the queue, or "
    "cancel it if it is abandoned.",
    _print_stale,
    of=NOTHING,
    options={
        "inactive_hours": option("Work is inactive after this time. (24)", kind=float | None),
        "abandoned_hours": option("Work is abandoned after this time. (72)", kind=float | None),
        "apply": option("Change what is listed.", "--apply", kind=bool, default=False),
    },
    make_body=make_dry_run,
    has_json=True,
)


def _print_pruned(answer: Json) -> None:
    show.print_items(
        answer["items"],
        "status, ended: completed_at, title, id: execution_id",
        nothing="There is no such work.",
    )
    _print_dry_run(answer)


GROUP.add_action(
    "prune",
    "prune_work",
    "List finished work; with --apply, leave it out of lists and counts, and with --erase, delete "
    "its content.",
    _print_pruned,
    of=NOTHING,
    options={
        "execution_ids": option(
            "Only this work with its parts; may be repeated.", "--id", kind=list[str] | None
        ),
        "statuses": option(
            "completed, failed or cancelled; may be repeated.", "--status", kind=list[str] | None
        ),
        "older_than_hours": option("Only what ended so long ago.", kind=float | None),
        "erase": option(
            "Delete texts, results and artifacts.", "--erase", kind=bool, default=False
        ),
        "apply": option("Change what is listed.", "--apply", kind=bool, default=False),
    },
    make_body=make_dry_run,
    has_json=True,
)
GROUP.add_action(
    "heartbeat",
    "send_heartbeat",
    "Extend a lease, and see whether the work was cancelled.",
    _print_heartbeat,
    options={"lease_token": TOKEN, "lease_seconds": LEASE_SECONDS},
    has_json=True,
)
GROUP.add_action(
    "complete",
    "complete_work",
    "Report the result of claimed work.",
    "{id}: {status}",
    options={
        "lease_token": TOKEN,
        "summary": option("At most 200 characters."),
        "detailed_work": option("The whole result; it is stored as an artifact."),
        "artifact_type": option("The type of the artifact, such as code or analysis."),
        "result": option("JSON for programs.", "--result"),
        "file_paths": option(
            "A file that the worker has changed; may be repeated.", "--file", kind=list[str] | None
        ),
        "next_action": option("complete, continue, needs_revision or blocked."),
    },
    make_body=_make_report,
    has_json=True,
)
GROUP.add_action(
    "fail",
    "fail_work",
    "Report that claimed work failed.",
    "{id}: {status}",
    options={
        "lease_token": TOKEN,
        "message": option("Why it failed.", kind=str, default=...),
        "retryable": option(
            "Return the work to the queue.", "--retryable", kind=bool, default=False
        ),
    },
    has_json=True,
)
GROUP.add_action(
    "release",
    "release_work",
    "Return claimed work to the queue.",
    "{id}: {status}",
    options={"lease_token": TOKEN, "reason": option("Kept as an event.")},
    has_json=True,
)


@GROUP.app.command("work", context_settings={"ignore_unknown_options": True})
def work(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND…", help="Runs for each execution.")
    ] = None,
    *,
    agent: Annotated[str | None, typer.Option(help="Only work of this agent.")] = None,
    capability: Annotated[
        list[str] | None,
        typer.Option(help="Only work whose agent needs no others; may be repeated."),
    ] = None,
    lease_seconds: Annotated[
        float, typer.Option(min=3, help="After how long without the worker others get the work.")
    ] = 60,
    worker: Annotated[
        str | None, typer.Option(help="Your name, which others see as claimed_by.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after one execution, or if there is no work.")
    ] = False,
) -> None:
    """Claim work, run a command for each execution, and report the result, until Ctrl-C.

    The command gets the execution as JSON on its standard input. If it ends with 0, the execution
    is completed with its output; with 75 it returns to the queue; otherwise it fails with the error
    output. A cancel, or a lease that was lost, stops the command.
    """
    from cli.queue_worker import WorkerOptions, run_worker

    if not command:
        raise ArgumentError("Give the command after --, as in `perdure queue work -- ./work.sh`.")
    if shutil.which(command[0]) is None:
        if Path(command[0]).is_file():
            raise ArgumentError(f"{command[0]!r} is not executable: run chmod +x {command[0]}.")
        raise ArgumentError(f"There is no command {command[0]!r}.")
    options = WorkerOptions(
        agent_id=agent,
        capabilities=capability or (),
        lease_seconds=lease_seconds,
        name=worker or f"{socket.gethostname()}-{os.getpid()}",
        is_once=once,
    )
    with open_client(context) as client:
        run_worker(client, options, command)
