"""`perdure hooks`: secret addresses that execute a task."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.references import TASK_REFERENCE, Reference, TaskName, find_resource
from cli.arguments.values import ArgumentError
from cli.command_groups.resources import CommandGroup, Json, TableView, option
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client


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
