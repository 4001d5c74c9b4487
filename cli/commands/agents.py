"""`perdure agents` and `perdure tool-groups`: agents and lists of tools that tasks name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import (
    TOOL_GROUP,
    Reference,
    open_client,
    refer_by_name,
)
from cli.arguments.values import ArgumentError
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
from cli.exits import Exit
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client

AgentId = Annotated[str, typer.Argument(metavar="AGENT")]
AGENTS = CommandGroup(
    "agents", "Specialists that tasks may name.", Reference({"agent_id": AgentId})
)

AGENTS.add_list(
    "list_agents",
    "List your own agents, newest first, and the built-in ones.",
    TableView(
        "agent: agent_id, whose, model?, description",
        nothing="No agents of yours. `perdure agents import FILE` makes one.",
        computed={"whose": lambda agent: "built in" if agent["is_builtin"] else "own"},
    ),
    options={
        "is_builtin": option(
            "Only your own.",
            "--mine",
            kind=bool,
            default=False,
            callback=lambda is_set: False if is_set else None,
        )
    },
    limit=50,
)
AGENTS.add_show("Show an agent with its system prompt.", "get_agent")


@AGENTS.app.command("import")
@with_output
def import_files(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Markdown with front matter (- is stdin), or a directory.",
            exists=True,
            allow_dash=True,
        ),
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change your agents that have these names.")
    ] = False,
    output: str,
) -> None:
    """Make agents from coding agents' files; names of tools and models are mapped.

    Of a directory, all Markdown files are read, also below it, except its README. A file that is
    refused does not keep the others from being imported. Exit codes: 0 all are imported, 2 some
    were refused, 3 the gateway did not answer.
    """
    from cli.definitions.files import MARKDOWN, find_files

    results: list[Json] = []
    with open_client(context) as client:
        for file in (file for path in files for file in find_files(path, MARKDOWN)):
            result = {"file": str(file), **_import_file(client, file, replace=replace)}
            results.append(result)
            if output == "table":  # each result as soon as it is known
                _print_import(result)
    if output != "table":
        show.print_answer(results, output, _print_imports)
    if any("refusal" in result for result in results):
        raise typer.Exit(Exit.USAGE)


def _import_file(client: "Client", file: Path, *, replace: bool) -> Json:
    """The agent that a file makes, or why it was refused."""
    from cli.connection.client import RefusedError
    from cli.definitions.files import DefinitionError, read_text

    try:
        body = {"markdown": read_text(file), "replace": replace}
        agent: Json = client.call("import_agent", body)
    except DefinitionError as error:
        return {"refusal": str(error)}
    except RefusedError as error:
        return {"refusal": f"{file}: {error}"}
    return agent


def _print_imports(results: Sequence[Json]) -> None:
    for result in results:
        _print_import(result)


def _print_import(result: Json) -> None:
    if "refusal" in result:
        show.err.print(f"refused  {result['refusal']}", style="red")
        return
    show.out.print(f"{result['agent_id']}  {result['file']}")
    if result["ignored"]:
        show.err.print(f"  ignored: {', '.join(result['ignored'])}", style="dim")


@AGENTS.app.command("export")
def export_file(
    context: typer.Context,
    agent_id: AgentId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file. (default: print it)")
    ] = None,
) -> None:
    """Write an agent as a Markdown file that `perdure agents import` reads back unchanged."""
    with open_client(context) as client:
        if output is not None:
            client.download("export_agent", output, agent_id=agent_id)
            show.out.print(f"Written to {output}")
            return
        show.out.print_text(client.read_content("export_agent", agent_id=agent_id).decode())


AGENTS.add_list(
    "list_pending_work",
    "List the work that waits for an agent, newest first.",
    TableView(
        "title, created: created_at, priority, executor, session: session_id?, id",
        nothing="No work waits for this agent.",
    ),
    name="pending",
    of=Reference({"agent_id": AgentId}),
    limit=20,
)

AGENTS.add_action(
    "delete",
    "delete_agent",
    "Delete one of your agents; tasks that name it can't be executed until they are changed.",
    "Deleted: {agent_id}",
)


# --- tool groups ----------------------------------------------------------------------------------

TOOL_GROUPS = CommandGroup(
    "tool-groups",
    "Lists of tool rules that tasks name as group:NAME.",
    refer_by_name(
        TOOL_GROUP,
        Annotated[str, typer.Argument(metavar="GROUP", help="A tool group's name or id.")],
    ),
)

TOOL_GROUPS.add_list(
    "list_tool_groups",
    "List your tool groups, newest first.",
    TableView(
        "in a task: rule, description?, id, tools",
        nothing="No tool groups. `perdure tool-groups create NAME RULE…` makes one.",
    ),
    pages="all",
)
TOOL_GROUPS.add_show("Show a tool group.")
TOOL_GROUPS.add_action(
    "create",
    "create_tool_group",
    "Store a list of tool rules under a name.",
    "Stored. Tasks name it as {rule}",
    of=Reference(),
    options={
        "name": argument("NAME", "What tasks name it by, after `group:`."),
        "tools": argument("RULE...", "Such as read_file or 'bash(git *)'.", list[str]),
        "description": option("What it is for."),
    },
    has_json=True,
)


def _require_change(given: Json, _: Json) -> Json:
    if not given:
        raise ArgumentError("Give what to change: rules, --name or --description.")
    return given


TOOL_GROUPS.add_action(
    "update",
    "update_tool_group",
    "Change a tool group; tasks keep the rules they have until their lists are written again.",
    show.print_fields,
    options={
        "tools": argument(
            "[RULE...]", "The whole new list. (default: no change)", list[str] | None, None
        ),
        "name": option("Another name."),
        "description": option("What it is for."),
    },
    make_body=_require_change,
    has_json=True,
)
TOOL_GROUPS.add_action(
    "delete",
    "delete_tool_group",
    "Delete a tool group; tasks that named it keep its rules.",
    "Deleted: {name}",
)
