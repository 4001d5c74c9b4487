"""References to resources: by a name, an id, the beginning of one, or `last`."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.values import ArgumentError
from cli.connection.endpoint import Given, warn_of_unknown_variables
from cli.exits import CommandError
from domain.ids import is_id

if TYPE_CHECKING:
    from cli.connection.client import Client, Json

LAST = "last"
"""In place of an id: the newest resource."""
ID_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")
SHORTEST_PREFIX = 8
LONGEST_QUERY = 200
"""Characters that the gateway searches for."""


def open_client(context: typer.Context) -> "Client":
    """The client of the gateway that this command calls."""
    from cli.connection.client import Client

    given: Given = context.obj
    warn_of_unknown_variables()
    return Client(given.find_endpoint())


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
API_KEY = Named("API key", "api-keys", "list_api_keys", "get_api_key", "key_id")
MCP_SERVER = Named("MCP server", "mcp-servers", "list_mcp_servers", "get_mcp_server", "server_id")


def find_resource(client: "Client", name_or_id: str, *, kind: Named = TASK) -> "Json":
    """The resource with that id or name; my own comes before those that others share.

    Raises:
        ArgumentError: there is none, others share several, or it is one's id and another's name.
    """
    by_id = _find_by_id(client, name_or_id, kind) if is_id(name_or_id) else None
    by_name = _find_by_name(client, name_or_id, kind)
    if by_id is not None and by_name is not None and by_id["id"] != by_name["id"]:
        raise ArgumentError(
            f"{name_or_id} is the id of the {kind.noun} {by_id['name']!r} and the name of another "
            f"one, whose id is {by_name['id']}; rename that one."
        )
    found = by_id or by_name or find_by_prefix(client, name_or_id, kind.list_operation)
    if found is None:
        names = [item["name"] for item in client.iterate(kind.list_operation)]
        alike = difflib.get_close_matches(name_or_id, names, 1)
        hint = f"Did you mean {alike[0]!r}? " if alike else ""
        raise ArgumentError(
            f"There is no {kind.noun} {name_or_id!r}. {hint}`perdure {kind.group} list` shows them."
        )
    return found


def find_by_prefix(client: "Client", prefix: str, list_operation: str) -> "Json | None":
    """The one resource whose id begins like this; None if there is none.

    Raises:
        ArgumentError: there are several.
    """
    if not ID_PREFIX.fullmatch(prefix):
        return None
    page = client.call(list_operation, id_prefix=prefix, page_size=2)
    found: list[Json] = page["items"]
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found)
        raise ArgumentError(f"{prefix} is the beginning of several ids: {ids}, …; give more of it.")
    return found[0] if found else None


def _find_by_name(client: "Client", name: str, kind: Named) -> "Json | None":
    """The resource with that name; None if there is none."""
    query = name[:LONGEST_QUERY] if kind.is_searched else None
    found = [item for item in client.iterate(kind.list_operation, q=query) if item["name"] == name]
    if len(found) > 1:
        me = client.call("get_me")["id"]
        found = [item for item in found if item["user_id"] == me] or found
    if len(found) > 1:
        ids = ", ".join(item["id"] for item in found)
        raise ArgumentError(f"Others share {len(found)} called {name!r}; give an id: {ids}")
    return found[0] if found else None


def _find_by_id(client: "Client", id_: str, kind: Named) -> "Json | None":
    """The resource with that id; None if there is none."""
    from cli.connection.client import NOT_FOUND, RefusedError

    key: Any = {kind.key: id_}
    try:
        found: Json = client.call(kind.get_operation, **key)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        return None
    return found


def complete_from(operation: str, field: str) -> Callable[..., list[tuple[str, str]]]:
    """What a shell completes: the field of the newest resources, with their titles."""

    def complete(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        return [
            (str(item[field]), str(item.get("title") or item.get("description") or ""))
            for item in _list_newest(context, operation)
            if str(item[field]).startswith(incomplete)
        ]

    return complete


def _list_newest(context: typer.Context, operation: str) -> "list[Json]":
    """Nothing where no gateway answers: a shell shows no errors."""
    given = {name: context.find_root().params.get(name) for name in ("api_url", "token", "profile")}
    try:
        context.obj = Given(**given)
        with open_client(context) as client:
            return list(client.call(operation, page_size=100)["items"])
    except CommandError:
        return []


TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A task's name or id.",
        autocompletion=complete_from("list_tasks", "name"),
    ),
]


def refer_by_name(kind: Named, argument: Any) -> Reference:
    """The reference to a resource by its name or id."""
    return Reference({"name_or_id": argument}, partial(find_resource, kind=kind), {kind.key: "id"})


TASK_REFERENCE = refer_by_name(TASK, TaskName)


def id_argument(
    find_newest: "Callable[[Client], Json | None]", operation: str, *, lister: str, missing: str
) -> Any:
    """An argument for Typer that takes an id, its beginning, or `last` for the newest resource.

    `operation` lists the resources, `lister` is the command for it, and `missing` the error where
    there is no resource. An argument that may be left out is then None.
    """

    def parse_one(context: typer.Context, given: str) -> str:
        if is_id(given):
            return given
        with open_client(context) as client:
            newest = given == LAST
            found = find_newest(client) if newest else find_by_prefix(client, given, operation)
        if found is None:
            raise ArgumentError(
                missing
                if newest
                else f"{given!r} is no id of yours, and no beginning of one with at least "
                f"{SHORTEST_PREFIX} characters. `perdure {lister}` shows them; {LAST!r} is the "
                "newest."
            )
        return str(found["id"])

    def parse(context: typer.Context, given: str | list[str] | None) -> str | list[str] | None:
        if isinstance(given, list):
            return [parse_one(context, one) for one in given]
        return None if given is None else parse_one(context, given)

    return typer.Argument(
        metavar="ID",
        help=f"Its id, the beginning of it, or `{LAST}`.",
        callback=parse,
        autocompletion=complete_from(operation, "id"),
    )


def _find_newest_execution(client: "Client") -> "Json | None":
    executions = client.iterate("list_executions")
    return next((run for run in executions if run["parent_execution_id"] is None), None)


_EXECUTION_ID = id_argument(
    _find_newest_execution,
    "list_executions",
    lister="executions list",
    missing="There is no execution yet. `perdure run TASK` starts one.",
)
ExecutionId = Annotated[str, _EXECUTION_ID]
ExecutionIds = Annotated[list[str] | None, _EXECUTION_ID]
