"""The executions that a command changes: those with given ids, or all that match options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.option_groups import Options, add_options
from cli.arguments.references import ExecutionIds, find_resource
from cli.arguments.times import CREATED
from cli.arguments.values import ArgumentError, drop_none

if TYPE_CHECKING:
    from cli.connection.client import Client, Json


@dataclass(frozen=True, slots=True)
class Selection:
    """The values of the options; `status` may be several, separated by commas."""

    execution_id: Sequence[str] | None = None
    every: bool = False
    task: str | None = None
    tag: str | None = None
    status: str | None = None
    created_from: str | None = None
    created_to: str | None = None

    def __post_init__(self) -> None:
        """Check that it selects.

        Raises:
            ArgumentError: neither ids nor a filter is given, or both.
        """
        filters = (self.task, self.tag, self.status, self.created_from, self.created_to)
        is_filtered = self.every or any(one is not None for one in filters)
        if bool(self.execution_id) == is_filtered:
            raise ArgumentError(
                "Give ids, or select executions with --all, --task, --tag, --status, --from or "
                "--to."
            )

    @property
    def only(self) -> str | None:
        """The id, if it is one execution."""
        ids = {*(self.execution_id or ())}
        return ids.pop() if len(ids) == 1 else None

    def make_body(self, client: "Client", *, without_status: Sequence[str]) -> "Json":
        """The body of a request; `without_status` is selected where no status is given."""
        if self.execution_id:
            return {"ids": list(dict.fromkeys(self.execution_id))}
        matching: dict[str, Any] = drop_none(
            task_id=None if self.task is None else find_resource(client, self.task)["id"],
            tag=self.tag,
            created_from=self.created_from,
            created_to=self.created_to,
        )
        statuses = self.status.split(",") if self.status else list(without_status)
        return {"filter": {**matching, "status": statuses}}


_OPTIONS: Options = {
    "execution_id": (ExecutionIds, None),
    "every": (Annotated[bool, typer.Option("--all", help="All of them.")], False),
    "task": (
        Annotated[
            str | None, typer.Option("--task", metavar="TASK", help="Executions of this task.")
        ],
        None,
    ),
    "tag": (Annotated[str | None, typer.Option(help="Those with this tag.")], None),
    "status": (
        Annotated[str | None, typer.Option(help="As `running`, or `failed,cancelled`.")],
        None,
    ),
    **CREATED,
}

with_selection = add_options("chosen", _OPTIONS, Selection)
"""The options of a command that changes several executions."""
