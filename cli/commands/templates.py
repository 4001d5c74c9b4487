"""`perdure templates`: tasks with parameters, to make tasks from."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(
    name="templates", help="Tasks with parameters, to make tasks from.", no_args_is_help=True
)
TemplateName = Annotated[str, typer.Argument(metavar="TEMPLATE", help="A template's name or id.")]


@app.command("list")
def list_templates(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List my templates and those that others share, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        found = list(gateway.items("/task-templates"))
    if as_json:
        show.as_json(found)
        return
    show.rows(
        ("name", "parameters", "shared", "description", "id"),
        [
            (
                template["name"],
                ", ".join(parameter["name"] for parameter in template["parameters"]),
                "yes" if template["is_public"] else "",
                template["description"] or "",
                template["id"],
            )
            for template in found
        ],
        nothing="No templates. `perdure templates create -f FILE` makes one.",
    )


@app.command("show")
def show_template(
    context: typer.Context, template: TemplateName, *, as_json: AsJson = False
) -> None:
    """Show a template: its parameters, and the task it makes."""
    from cli import arguments, show
    from cli.definitions import as_yaml

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, template, arguments.TEMPLATE)
    if as_json:
        show.as_json(found)
        return
    parameters, task = found.pop("parameters"), found.pop("task")
    show.fields(found)
    show.rows(
        ("parameter", "default", "what for"),
        [
            (one["name"], one.get("default", "(to be given)"), one.get("description") or "")
            for one in parameters
        ],
        nothing="It has no parameters.",
    )
    show.out.print(as_yaml(task), markup=False, end="")


@app.command()
def create(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON: name, task, ….")],
    *,
    as_json: AsJson = False,
) -> None:
    """Create a template from a file with name, parameters and task."""
    from cli import definitions, show

    with gateway_of(context) as gateway:
        made = gateway.post("/task-templates", definitions.fields_in(file))
    if as_json:
        show.as_json(made)
    else:
        show.named(made)


@app.command()
def update(
    context: typer.Context,
    template: TemplateName,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Change what a file names; `task` and `parameters` are replaced whole.

    Tasks that were made from it stay as they are.
    """
    from cli import arguments, definitions, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, template, arguments.TEMPLATE)
        changed = gateway.patch(f"/task-templates/{found['id']}", definitions.fields_in(file))
    if as_json:
        show.as_json(changed)
    else:
        show.named(changed)


@app.command()
def delete(context: typer.Context, template: TemplateName) -> None:
    """Delete a template; tasks that were made from it stay."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, template, arguments.TEMPLATE)
        gateway.delete(f"/task-templates/{found['id']}")
    show.out.print(f"Deleted: {found['name']}", markup=False)


@app.command("create-task")
def create_task(
    context: typer.Context,
    template: TemplateName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new task's name.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="name=text, or name:=json. May be repeated."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Fields that differ from the template's: YAML, JSON."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a task of mine from a template."""
    from cli import arguments, definitions, show

    body: dict[str, Any] = {
        "name": name,
        "parameters": arguments.variables(parameter or (), option="-p"),
    }
    if file is not None:
        body["overrides"] = definitions.fields_in(file)
    with gateway_of(context) as gateway:
        found = arguments.find(gateway, template, arguments.TEMPLATE)
        made = gateway.post(f"/task-templates/{found['id']}/create-task", body)
    if as_json:
        show.as_json(made)
    else:
        show.named(made)
