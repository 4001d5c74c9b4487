"""`perdure templates`: tasks with parameters, to make tasks from."""

from pathlib import Path
from typing import Annotated

import typer

from cli.arguments.references import TEMPLATE, Reference, refer_by_name
from cli.arguments.values import parse_variables
from cli.command_groups.resources import (
    CommandGroup,
    Json,
    TableView,
    argument,
    file_option,
    option,
)
from cli.terminal import show

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


def _read_template(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.definitions.inputs import TaskTemplateCreate

    return read_fields(given["file"], TaskTemplateCreate)


def _read_template_changes(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.definitions.inputs import TaskTemplateUpdate

    return read_fields(given["file"], TaskTemplateUpdate)


TEMPLATES.add_action(
    "create",
    "create_task_template",
    "Create a template from a file with name, parameters and task.",
    show.print_name,
    of=Reference(),
    options={"file": file_option("YAML or JSON: name, task, ….")},
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
