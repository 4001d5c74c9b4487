"""`perdure tasks`, `perdure templates` and `perdure hooks`: definitions of work."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import (
    TASK_REFERENCE,
    TEMPLATE,
    Reference,
    TaskName,
    find_resource,
    open_client,
    refer_by_name,
)
from cli.arguments.values import (
    OTHERS,
    AllowMissing,
    ArgumentError,
    Budget,
    Variable,
    hint_at_missing_variables,
    parse_variables,
)
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
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


def file_option(help_text: str, kind: Any = Path, default: Any = ...) -> tuple[Any, Any]:
    """The option `--file`."""
    return option(help_text, "--file", "-f", kind=kind, default=default)


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


def _read_template(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.definitions.inputs import TaskTemplateCreate

    return read_fields(given["file"], TaskTemplateCreate)


def _read_template_changes(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.definitions.inputs import TaskTemplateUpdate

    return read_fields(given["file"], TaskTemplateUpdate)


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


def _make_prune(given: Json, _: Json) -> Json:
    return {"dry_run": not given.pop("apply"), **given}


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
    make_body=_make_prune,
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


# --- templates ------------------------------------------------------------------------------------

TEMPLATES = CommandGroup(
    "templates",
    "Tasks with parameters, to make tasks from.",
    refer_by_name(
        TEMPLATE,
        Annotated[str, typer.Argument(metavar="TEMPLATE", help="A template's name or id.")],
    ),
)

TEMPLATES.add_list(
    "list_task_templates",
    "List your templates and those that others share, newest first.",
    TableView(
        "name, parameters, shared: is_public?, description?, id",
        nothing="No templates. `perdure templates create -f FILE` makes one.",
        computed={"parameters": lambda it: ", ".join(one["name"] for one in it["parameters"])},
    ),
    pages="all",
)


def _print_template(template: Json) -> None:
    from agent_library.yaml_text import write_yaml

    parameters, task = template.pop("parameters"), template.pop("task")
    show.print_fields(template)
    show.print_rows(
        ("parameter", "default", "what for"),
        [
            (one["name"], one.get("default", "(to be given)"), one.get("description") or "")
            for one in parameters
        ],
        nothing="It has no parameters.",
    )
    show.out.print(write_yaml(task), end="")


TEMPLATES.add_show("Show a template: its parameters, and the task it makes.", view=_print_template)
TEMPLATES.add_action(
    "create",
    "create_task_template",
    "Create a template from a file with name, parameters and task.",
    show.print_name,
    of=Reference(),
    options={
        "file": (Path, typer.Option(..., "--file", "-f", help="YAML or JSON: name, task, …."))
    },
    make_body=_read_template,
    has_json=True,
)
TEMPLATES.add_action(
    "update",
    "update_task_template",
    "Change what a file names; `task` and `parameters` are replaced whole.\n\n"
    "Tasks that were made from it stay as they are.",
    show.print_name,
    options={"file": file_option("YAML or JSON.")},
    make_body=_read_template_changes,
    has_json=True,
)
TEMPLATES.add_action(
    "delete",
    "delete_task_template",
    "Delete a template; tasks that were made from it stay.",
    "Deleted: {name}",
)


def _fill_template(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.definitions.inputs import TaskUpdate

    parameters = parse_variables(given.get("parameter") or (), option="-p")
    body: Json = {"name": given["name"], "parameters": parameters}
    return body | ({"overrides": read_fields(given["file"], TaskUpdate)} if "file" in given else {})


TEMPLATES.add_action(
    "create-task",
    "create_task_from_template",
    "Make a task from a template.",
    show.print_name,
    options={
        "name": argument("NAME", "The new task's name."),
        "parameter": option(
            "name=text, or name:=json. May be repeated.", "--parameter", "-p", kind=list[str] | None
        ),
        "file": file_option(
            "Fields that differ from the template's: YAML, JSON.", kind=Path | None, default=None
        ),
    },
    make_body=_fill_template,
    has_json=True,
)


# --- hooks ----------------------------------------------------------------------------------------


def find_hook(client: "Client", task: str, hook: str) -> Json:
    """A task's hook by its id, or by its name if only one has it.

    Raises:
        ArgumentError: the task has no such hook, or several.
    """
    task_id = find_resource(client, task)["id"]
    hooks = client.iterate("list_hooks", task_id=task_id)
    found = [one for one in hooks if hook in (one["id"], one["name"])]
    if not found:
        raise ArgumentError(
            f"The task has no hook {hook!r}. `perdure hooks list` shows those it has."
        )
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found)
        raise ArgumentError(f"The task has {len(found)} called {hook!r}; give an id: {ids}")
    return {**found[0], "label": found[0]["name"] or found[0]["id"]}


HookName = Annotated[str, typer.Argument(metavar="HOOK", help="A hook's id, or its name.")]
HOOKS = CommandGroup(
    "hooks",
    "Secret addresses that execute a task.",
    Reference(
        {"task": TaskName, "hook": HookName}, find_hook, {"task_id": "task_id", "hook_id": "id"}
    ),
)

HOOKS.add_list(
    "list_hooks",
    "List a task's hooks, newest first, without their addresses.",
    TableView(
        "name, made: created_at, used: last_used_at, id",
        nothing="No hooks. `perdure hooks create TASK` makes one.",
    ),
    of=TASK_REFERENCE,
    pages="all",
)
HOOKS.add_show("Show a hook and when it was last used, without its address.", "get_hook")


def _print_address(hook: Json) -> None:
    show.err.print(
        "The address is a secret: every POST to it executes the task in your name. "
        "Store it now; it is not shown again."
    )
    print(hook["url"])  # noqa: T201 - what a script reads


HOOKS.add_action(
    "create",
    "create_hook",
    "Create an address and print it once: a POST of JSON to it executes the task.",
    _print_address,
    of=TASK_REFERENCE,
    options={"name": option("What it is for.")},
    has_json=True,
)
HOOKS.add_action("delete", "delete_hook", "Close an address for good.", "Closed: {label}")
