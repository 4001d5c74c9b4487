"""Arguments of commands: the references to resources, assignments and times."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from cli.exits import CommandError

if TYPE_CHECKING:
    from cli.client import Client, Json

LAST = "last"
"""In place of an id: the newest resource."""
LONGEST_QUERY = 200
"""Characters that the gateway searches for."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100)]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Print every event as it happens.")]
Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--leave",
        help="When a person is needed: continue to wait, or end with exit code 4. "
        "(default: wait on a terminal, where you are asked)",
    ),
]
Variable = Annotated[
    list[str] | None,
    typer.Option("--variable", "-v", help="name=text, or name:=json. May be repeated."),
]
Budget = Annotated[
    float | None,
    typer.Option(min=0, help="Stop before the cost exceeds this. (default: the task's budget)"),
]


class ArgumentError(CommandError):
    """An argument can't be read, or identifies no resource."""


@dataclass(frozen=True, slots=True)
class Given:
    """The options of `perdure` itself."""

    api_url: str | None = None
    token: str | None = None


def open_client(context: typer.Context) -> "Client":
    """The client of the gateway that this command calls."""
    from cli.client import Client, find_endpoint
    from cli.configuration import load_settings

    given: Given = context.obj
    return Client(find_endpoint(load_settings(api_url=given.api_url, token=given.token)))


@dataclass(frozen=True, slots=True)
class Reference:
    """The arguments by which a command identifies a resource.

    `arguments` are their types for Typer. `find` gets the resource from them; `keys` maps path
    parameters to its fields. Without `find`, the arguments are the path parameters.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    find: "Callable[..., Json] | None" = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, client: "Client", given: "Json") -> "tuple[Json, Json]":
        """Take the arguments; return the resource and the path parameters.

        Without `find`, the parameters are all that is known of the resource.
        """
        arguments = {name: given.pop(name) for name in self.arguments}
        if self.find is None:
            return arguments, arguments
        found = self.find(client, **arguments)
        return found, {parameter: found[name] for parameter, name in self.keys.items()}


@dataclass(frozen=True, slots=True)
class Named:
    """A kind of resource whose names are unique among those of one user.

    `is_searched`: the list operation searches, so that one name needs no walk over all pages.
    """

    noun: str
    group: str
    list_operation: str
    get_operation: str
    key: str
    is_searched: bool = False


TASK = Named("task", "tasks", "list_tasks", "get_task", "task_id", is_searched=True)
TEMPLATE = Named("template", "templates", "list_task_templates", "get_task_template", "template_id")
TOOL_GROUP = Named("tool group", "tool-groups", "list_tool_groups", "get_tool_group", "group_id")
MCP_SERVER = Named("MCP server", "mcp-servers", "list_mcp_servers", "get_mcp_server", "server_id")


def find_resource(client: "Client", name_or_id: str, *, kind: Named = TASK) -> "Json":
    """The resource with that id or name; my own comes before those that others share.

    Raises:
        ArgumentError: there is none, or others share several.
    """
    if is_id(name_or_id):
        key: Any = {kind.key: name_or_id}
        by_id: Json = client.call(kind.get_operation, **key)
        return by_id
    query = name_or_id[:LONGEST_QUERY] if kind.is_searched else None
    items = client.iterate(kind.list_operation, q=query)
    found = [item for item in items if item["name"] == name_or_id]
    if len(found) > 1:
        me = client.call("get_me")["id"]
        found = [item for item in found if item["user_id"] == me] or found
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found)
        raise ArgumentError(f"Others share {len(found)} called {name_or_id!r}; give an id: {ids}")
    if not found:
        raise ArgumentError(
            f"There is no {kind.noun} {name_or_id!r}. `perdure {kind.group} list` shows them."
        )
    return found[0]


TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task's name or id.")]


def refer_by_name(kind: Named, argument: Any) -> Reference:
    """The reference to a resource by its name or id."""
    return Reference({"name_or_id": argument}, partial(find_resource, kind=kind), {kind.key: "id"})


TASK_REFERENCE = refer_by_name(TASK, TaskName)


def id_argument(
    find_newest: "Callable[[Client], Json | None]", *, lister: str, missing: str
) -> Any:
    """An argument for Typer that takes an id, or `last` for the newest resource.

    `lister` is the command that lists ids, `missing` the error where there is no resource.
    """

    def parse(context: typer.Context, given: str) -> str:
        if given != LAST:
            return check_id(given, lister)
        with open_client(context) as client:
            newest = find_newest(client)
        if newest is None:
            raise ArgumentError(missing)
        return str(newest["id"])

    return typer.Argument(metavar="ID", help=f"Its id, or `{LAST}`.", callback=parse)


def check_id(given: str, lister: str) -> str:
    """The id as it was given.

    Raises:
        ArgumentError: it is no id.
    """
    if not is_id(given):
        raise ArgumentError(
            f"{given!r} is no id. `perdure {lister}` shows them; {LAST!r} is the newest."
        )
    return given


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _find_newest_execution(client: "Client") -> "Json | None":
    executions = client.iterate("list_executions")
    return next((run for run in executions if run["parent_execution_id"] is None), None)


ExecutionId = Annotated[
    str,
    id_argument(
        _find_newest_execution,
        lister="executions list",
        missing="There is no execution yet. `perdure run TASK` starts one.",
    ),
]


def drop_none(**fields: Any) -> "Json":
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def parse_variables(assignments: Sequence[str], *, option: str = "-v") -> dict[str, Any]:
    """`name=text` and `name:=json` as a mapping; `option` is where they were given.

    Raises:
        ArgumentError: one is neither.
    """
    variables: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not name.rstrip(":"):
            raise ArgumentError(f"{option} {assignment}: write name=text or name:=json")
        if not name.endswith(":"):
            variables[name] = value
            continue
        try:
            variables[name[:-1]] = json.loads(value)
        except ValueError as error:
            raise ArgumentError(f"{option} {assignment}: not JSON: {error}") from error
    return variables


def parse_time(text: str) -> str:
    """An ISO date or time in the form of the API; without a zone it is UTC.

    Raises:
        ArgumentError: it is neither.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentError(
            f"{text!r} is no time; write 2026-01-31 or 2026-01-31T09:00:00Z"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()
