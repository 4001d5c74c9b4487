"""Options that several commands have, and the values that are read from assignments and JSON."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import CommandError

if TYPE_CHECKING:
    from cli.connection.client import Json

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
OTHERS = {
    "user_id": (
        Annotated[
            str | None,
            typer.Option("--user", metavar="ID", help="Those of this user; admins only."),
        ],
        None,
    ),
    "all_users": (
        Annotated[bool | None, typer.Option("--all-users", help="Of all users; admins only.")],
        None,
    ),
}
"""Options of lists by which admins read what other users have."""
Limit = Annotated[int, typer.Option("--limit", min=1, max=100)]
Full = Annotated[bool, typer.Option("--full", help="Print inputs and outputs of tools whole.")]
AllowMissing = Annotated[
    bool,
    typer.Option(
        "--allow-missing", help="Leave placeholders without a value in the prompt as they are."
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


def drop_none(**fields: Any) -> "Json":
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def parse_variables(assignments: Sequence[str], *, option: str = "-v") -> dict[str, Any]:
    """`name=text` and `name:=json` as a mapping; `option` is where they were given.

    Raises:
        ArgumentError: one is neither, or a name is given twice.
    """
    variables: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not separator or not name:
            raise ArgumentError(f"{option} {assignment}: write name=text or name:=json")
        if name in variables:
            raise ArgumentError(f"{option} {assignment}: {name!r} is given twice; keep one.")
        variables[name] = parse_json(value, f"{option} {assignment}") if is_json else value
    return variables


def parse_json(text: str, where: str) -> Any:
    """JSON from the command line; `where` begins the error.

    Raises:
        ArgumentError: it is not JSON, or a key appears twice.
    """
    from agent_library.documents import DocumentError, read_json

    try:
        return read_json(text).value
    except DocumentError as error:
        raise ArgumentError(f"{where}: {error}") from error


@contextmanager
def hint_at_missing_variables() -> Iterator[None]:
    """Add to a refusal for missing variables how to give them."""
    from cli.connection.client import RefusedError

    try:
        yield
    except RefusedError as error:
        problems = error.problem.get("errors", ())
        missing = [one["loc"] for one in problems if one.get("type") == "missing"]
        names = [str(loc[-1]) for loc in missing if loc[:2] == ["body", "variables"]]
        if names:
            given = " ".join(f"-v {name}=…" for name in names)
            raise ArgumentError(
                f"{error}\nGive {given}, or --allow-missing to leave them in the prompt."
            ) from error
        raise
