"""`perdure tasks`: reusable definitions of work."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import TASK_REFERENCE, Reference, TaskName, find_resource, open_client
from cli.arguments.values import (
    OTHERS,
    AllowMissing,
    ArgumentError,
    Budget,
    Variable,
    hint_at_missing_variables,
    parse_variables,
)
from cli.command_groups.resources import (
    CommandGroup,
    Json,
    TableView,
    file_option,
    make_dry_run,
    option,
)
from cli.terminal import show
from domain.executions.states import TERMINAL, ExecutionStatus

if TYPE_CHECKING:
    from cli.connection.client import Client

UNFINISHED = ",".join(status for status in ExecutionStatus if status not in TERMINAL)

TASKS = CommandGroup("tasks", "Reusable definitions.", TASK_REFERENCE)

TASKS.add_list(
    "list_tasks",
    "List tasks, newest first.",
    TableView(
        "name, version, schedule: schedule_cron?, active: is_active, id",
        nothing="No tasks yet. `perdure tasks create -f FILE` makes one.",
    ),
    options={"q": option("Words to look for.", "--query", "-q"), **OTHERS},
    limit=20,
)
TASKS.add_show("Show a task.")


def _read_task(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_task

    return read_task(given["file"]).body


def _make_update(given: Json, task: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.definitions.inputs import TaskUpdate

    body = read_fields(given["file"], TaskUpdate) if "file" in given else {}
    assigned = parse_variables(given.get("assignments") or (), option="--set")
    for path, value in assigned.items():
        field, _, inner = path.partition(".")
        whole = {**(body.get(field) or task.get(field) or {}), inner: value}
        body[field] = whole if inner else value
    if not body:
        raise ArgumentError("Give what to change: --file, or --set field=value.")
    return body


def _count_active(client: "Client", task: Json) -> str:
    active = client.call("list_executions", task_id=task["id"], status=UNFINISHED, page_size=1)
    number = active["total"]
    if not number:
        return "Its executions stay readable."
    return f"{number} of its executions have not ended, and continue."


TASKS.add_action(
    "create",
    "create_task",
    "Create a task from a file.",
    show.print_name,
    of=Reference(),
    options={"file": file_option("YAML, JSON or Markdown.")},
    make_body=_read_task,
    has_json=True,
)
TASKS.add_action(
    "update",
    "update_task",
    "Change a task: the fields of a file, or those of --set. Running executions keep its version.",
    show.print_name,
    options={
        "file": file_option("The fields to change: YAML or JSON.", kind=Path | None, default=None),
        "assignments": option(
            "field=text or field:=json; sdk_options.model=… changes one option. May be repeated.",
            "--set",
            kind=list[str] | None,
        ),
    },
    make_body=_make_update,
    has_json=True,
)
TASKS.add_action(
    "share",
    "update_task",
    "Let all users read and execute a task, in their name, budget and secrets.",
    "All users can execute {name}: perdure run {id}",
    make_body=lambda *_: {"is_public": True},
)
TASKS.add_action(
    "unshare",
    "update_task",
    "Keep a shared task to yourself; running executions continue.",
    "Only you can execute {name} now.",
    make_body=lambda *_: {"is_public": False},
)


def _print_pruned(answer: Json) -> None:
    show.print_items(
        answer["items"],
        "name, kind, bytes: size_bytes, kept: created_at, execution: execution_id, id",
        nothing="No artifact is that old.",
    )
    if answer["items"] and answer["dry_run"]:
        show.err.print("Nothing was deleted; --apply does it.")
    if answer["has_more"]:
        show.err.print("There are more; run it again.")


TASKS.add_action(
    "prune-artifacts",
    "prune_artifacts",
    "List the old artifacts of your executions of a task; with --apply, delete them.",
    _print_pruned,
    options={
        "older_than_seconds": option(
            "Those of executions that ended this long ago; the default is that of the task.",
            kind=int | None,
        ),
        "apply": option("Delete what is listed.", "--apply", kind=bool, default=False),
    },
    make_body=make_dry_run,
    has_json=True,
)
TASKS.add_action(
    "delete",
    "delete_task",
    "Delete a task; its executions stay readable.",
    "Deleted: {name}",
    warn=_count_active,
)
TASKS.add_list(
    "list_versions",
    "List the versions of a task, newest first.",
    TableView(
        "version, written: created_at, tools: definition.allowed_tools?, prompt",
        nothing="No versions.",
        computed={
            "prompt": lambda version: (
                version["definition"]["prompt_template"].strip().splitlines()[0]
            )
        },
    ),
    name="versions",
    of=TASK_REFERENCE,
    limit=20,
)


@TASKS.app.command("dry-run")
@with_output
def rehearse(
    context: typer.Context,
    task: TaskName,
    variable: Variable = None,
    max_budget_usd: Budget = None,
    *,
    allow_missing: AllowMissing = False,
    output: str,
) -> None:
    """Show what an execution would do and what earlier ones cost, without starting one."""
    body: Json = {
        "variables": parse_variables(variable or ()),
        "strict_variables": not allow_missing,
    }
    if max_budget_usd is not None:
        body["max_budget_usd"] = max_budget_usd
    with open_client(context) as client, hint_at_missing_variables():
        found = client.call("dry_run", body, task_id=find_resource(client, task)["id"])
    show.print_answer(found, output, _print_forecast)


def _print_forecast(found: Json) -> None:
    forecast = found.pop("forecast")
    found["tools"] = {tool["tool"]: tool["rule"] for tool in found["tools"]}
    show.print_fields(found)
    show.print_rows(
        (f"of {forecast.pop('executions')} before", "half within", "nine of ten within"),
        [
            (name, _format_figure(spread["median"]), _format_figure(spread["p90"]))
            for name, spread in forecast.items()
            if spread
        ],
        nothing="No execution of it has completed yet, so there is no forecast.",
    )


def _format_figure(value: float) -> str:
    """A number with at most six decimals."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")
