"""What commands that talk to a gateway share: the options given before them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.client import Gateway


@dataclass(frozen=True, slots=True)
class Given:
    """The options of `perdure` itself."""

    api_url: str | None = None
    token: str | None = None


def gateway_of(context: typer.Context) -> "Gateway":
    """The gateway this command talks to."""
    from cli.client import Gateway, find_place
    from cli.configuration import load

    given: Given = context.obj
    return Gateway(find_place(load(api_url=given.api_url, token=given.token)))


LAST = "last"
"""In an id's place: the newest one."""


def checked_id(given: str, lister: str) -> str:
    """An id as it was given; `lister` is the command that shows them.

    Raises:
        CommandError: it is none.
    """
    from cli.arguments import is_id
    from cli.exits import CommandError

    if not is_id(given):
        raise CommandError(
            f"{given!r} is no id. `perdure {lister}` shows them; {LAST!r} is the newest."
        )
    return given


def _execution(context: typer.Context, given: str) -> str:
    """The id, where `last` stands for the newest execution that is no subtask."""
    from cli.exits import CommandError

    if given != LAST:
        return checked_id(given, "executions list")
    with gateway_of(context) as gateway:
        for execution in gateway.items("/task-executions"):
            if execution["parent_execution_id"] is None:
                return str(execution["id"])
    raise CommandError("There is no execution yet. `perdure run TASK` starts one.")


def _request(context: typer.Context, given: str) -> str:
    """The id, where `last` stands for the newest request that is open."""
    from cli.exits import CommandError

    if given != LAST:
        return checked_id(given, "inbox list")
    with gateway_of(context) as gateway:
        for request in gateway.items("/input-requests", status="open"):
            return str(request["id"])
    raise CommandError("Nothing waits for you.")


ExecutionId = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, or `last`.", callback=_execution)
]
RequestId = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, or `last`.", callback=_request)
]
