"""`perdure hooks`: secret addresses that execute a task."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson
from cli.commands.tasks import TaskName

if TYPE_CHECKING:
    from cli.client import Gateway, Json

app = typer.Typer(name="hooks", help="Secret addresses that execute a task.", no_args_is_help=True)
HookName = Annotated[str, typer.Argument(metavar="HOOK", help="A hook's id, or its name.")]


@app.command("list")
def list_hooks(context: typer.Context, task: TaskName, *, as_json: AsJson = False) -> None:
    """List a task's hooks, newest first; never their addresses."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = list(gateway.items(f"/tasks/{arguments.find(gateway, task)['id']}/hooks"))
    if as_json:
        show.as_json(found)
        return
    show.rows(
        ("name", "made", "used", "id"),
        [
            (
                hook["name"] or "-",
                show.when(hook["created_at"]),
                show.when(hook["last_used_at"]),
                hook["id"],
            )
            for hook in found
        ],
        nothing="No hooks. `perdure hooks create TASK` makes one.",
    )


@app.command("show")
def show_hook(
    context: typer.Context, task: TaskName, hook: HookName, *, as_json: AsJson = False
) -> None:
    """Show a hook and when it was last used; never its address."""
    from cli import show

    with gateway_of(context) as gateway:
        found = gateway.get(_path(_found(gateway, task, hook)))
    (show.as_json if as_json else show.fields)(found)


@app.command()
def create(
    context: typer.Context,
    task: TaskName,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make an address and print it, this once: whoever POSTs JSON to it executes the task."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        path = f"/tasks/{arguments.find(gateway, task)['id']}/hooks"
        made = gateway.post(path, {"name": name})
    if as_json:
        show.as_json(made)
        return
    show.err.print(
        "The address is a secret: whoever knows it executes the task in your name. "
        "Keep it now: nobody can read it again."
    )
    print(made["url"])  # noqa: T201 - what a script reads


@app.command()
def delete(context: typer.Context, task: TaskName, hook: HookName) -> None:
    """Close an address for good."""
    from cli import show

    with gateway_of(context) as gateway:
        found = _found(gateway, task, hook)
        gateway.delete(_path(found))
    show.out.print(f"Closed: {found['name'] or found['id']}", markup=False)


def _found(gateway: "Gateway", task: str, name_or_id: str) -> "Json":
    """A task's hook; their names are for people, so two may have the same."""
    from cli import arguments
    from cli.exits import CommandError

    task_id = arguments.find(gateway, task)["id"]
    hooks = gateway.items(f"/tasks/{task_id}/hooks")
    found = [hook for hook in hooks if name_or_id in (hook["id"], hook["name"])]
    if not found:
        raise CommandError(
            f"The task has no hook {name_or_id!r}. `perdure hooks list` shows those it has."
        )
    if len(found) > 1:
        ids = ", ".join(hook["id"] for hook in found)
        raise CommandError(f"The task has {len(found)} called {name_or_id!r}; give an id: {ids}")
    return found[0]


def _path(hook: "Json") -> str:
    return f"/tasks/{hook['task_id']}/hooks/{hook['id']}"
