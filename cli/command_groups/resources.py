"""Command groups made from declarations: an operation of the API, and how its answer is printed.

Options become query parameters of a list, and fields of an action's body or its query parameters,
by their names.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from cli.arguments.option_groups import OUTPUT, Options, choose_output, declare
from cli.arguments.references import Reference, find_resource, open_client
from cli.arguments.times import CREATED
from cli.arguments.values import Full, Limit, Yes, drop_none
from cli.command_groups.lazy import make_app
from cli.connection.operations import load_operations
from cli.terminal import show
from cli.terminal.prompts import confirm
from domain.ids import is_id

if TYPE_CHECKING:
    from cli.connection.client import Client
    from cli.terminal.show import Computed

Json = dict[str, Any]
View = Callable[..., None]
Connect = Callable[[typer.Context], "AbstractContextManager[Client]"]

NOTHING = Reference()
FINAL = frozenset({"delete", "revoke"})
"""Actions that can't be undone."""


def option(help_text: str, *flags: str, kind: Any = str | None, **more: Any) -> tuple[Any, Any]:
    """An option, which may be left out."""
    default = more.pop("default", None)
    return kind, typer.Option(default, *flags, help=help_text, **more)


def argument(metavar: str, help_text: str, kind: Any = str, default: Any = ...) -> tuple[Any, Any]:
    """An argument, which must be given unless it has a default."""
    return kind, typer.Argument(default, metavar=metavar, help=help_text)


def file_option(help_text: str, kind: Any = Path, default: Any = ...) -> tuple[Any, Any]:
    """The option `--file`, which can be stdin (`read_text`)."""
    return option(f"{help_text} - is stdin.", "--file", "-f", kind=kind, default=default)


def make_dry_run(given: Json, _: Json) -> Json:
    """The body of an action that changes nothing without `--apply`."""
    return {"dry_run": not given.pop("apply"), **given}


@dataclass(frozen=True, slots=True)
class TableView:
    """How a list is printed; `show.print_items` explains the fields."""

    columns: str
    nothing: str
    computed: "Computed | None" = None

    def print_items(
        self, items: Sequence[Json], *, is_filtered: bool = False, is_wide: bool | None = None
    ) -> None:
        """Print a row for each item."""
        nothing = "Nothing matches." if is_filtered else self.nothing
        show.print_items(items, self.columns, self.computed, nothing=nothing, is_wide=is_wide)


class CommandGroup:
    """The commands of one resource; each method adds one, with its arguments, options and help."""

    def __init__(
        self,
        name: str,
        help_text: str,
        reference: Reference = NOTHING,
        *,
        connect: Connect = open_client,
    ) -> None:
        """`reference` is how the commands identify a resource, `connect` opens the client."""
        self.app = make_app(name=name, help=help_text)
        self._reference = reference
        self._connect = connect

    def add_list(
        self,
        operation: str,
        help_text: str,
        view: TableView | View,
        *,
        name: str = "list",
        of: Reference = NOTHING,
        options: Options | None = None,
        limit: int | None = None,
        query: Json | None = None,
        pages: Literal["one", "all", "counted"] = "one",
    ) -> Callable[..., None]:
        """List resources, or those that belong to one (`of`).

        As JSON, `one` prints the page, `all` the items of all pages, `counted` these with their
        number. `limit` is the default of `--limit`. A list with a view in place of a table has the
        option `--full`, whose value the view gets.
        """
        chosen: Json = {}

        def run(client: "Client", given: Json) -> Any:
            chosen["full"] = given.pop("full", False)
            chosen["is_filtered"] = any(given.get(name) for name in filters)
            _, path = of.resolve(client, given)
            if (task := given.get("task_id")) and not is_id(task):
                given["task_id"] = find_resource(client, task)["id"]
            parameters = {**path, **(query or {}), **drop_none(**given)}
            if pages == "one":
                return client.call(operation, **{"page_size": 100, **parameters})
            items = list(client.iterate(operation, **parameters))
            return items if pages == "all" else {"items": items, "total": len(items)}

        def print_answer(answer: Any, *, is_wide: bool | None = None) -> None:
            items = answer if pages == "all" else answer["items"]
            if isinstance(view, TableView):
                view.print_items(items, is_filtered=chosen["is_filtered"], is_wide=is_wide)
            else:
                view(items, full=chosen["full"])

        filters = {**(options or {}), **_offer_times(operation)}
        offered = {**of.arguments, **filters}
        if limit is not None:
            offered["page_size"] = (Limit, limit)
        if not isinstance(view, TableView):
            offered["full"] = (Full, False)
        return self._add(name, help_text, offered, run, print_answer)

    def add_show(
        self,
        help_text: str,
        operation: str | None = None,
        *,
        name: str = "get",
        view: View | None = None,
        describe: "Callable[[Client, Json], None] | None" = None,
    ) -> None:
        """Show one resource: what the operation answers, else what the reference finds.

        `describe` prints it, as a table, with more that it reads; `-o wide` prints the fields.
        """

        def run(client: "Client", given: Json) -> Any:
            found, path = self._reference.resolve(client, given)
            return found if operation is None else client.call(operation, **path)

        arguments = self._reference.arguments
        self._add(name, help_text, arguments, run, view or show.print_fields, describe=describe)

    def add_action(
        self,
        name: str,
        operation: str,
        help_text: str,
        done: str | View,
        *,
        of: Reference | None = None,
        options: Options | None = None,
        make_body: Callable[[Json, Json], Json] | None = None,
        has_json: bool = False,
        is_start: bool = False,
        warn: "Callable[[Client, Json], str] | None" = None,
    ) -> None:
        """Call an operation on one resource; a deletion is one, too, and asks on a terminal.

        `done` is the sentence to print, with fields of the resource and of the answer, or a view
        of the answer. The body has the options that were given; `make_body` makes it from these
        and the resource. `is_start`: the operation starts something, which must happen once.
        `warn` returns what a person should know before they confirm.
        """
        reference = self._reference if of is None else of
        is_final = name in FINAL

        def run(client: "Client", given: Json) -> Any:
            is_confirmed = given.pop("yes", True)
            found, path = reference.resolve(client, given)
            if not is_confirmed:
                label = found.get("name") or found.get("title") or " ".join(map(str, path.values()))
                reason = f" {warn(client, found)}" if warn else ""
                confirm(f"{name.title()} {label!r}?{reason}")
            query = load_operations()[operation].query
            path |= {name: given.pop(name) for name in query if name in given}
            body = {key: value for key, value in given.items() if value is not None}
            if make_body:
                body = make_body(body, found)
            answer = (client.start if is_start else client.call)(operation, body, **path)
            show.warn_of_dependents(answer)
            if has_json or not isinstance(done, str):
                return answer
            return {**found, **(answer or {})}

        view = _print_sentence(done) if isinstance(done, str) else done
        offered = {**reference.arguments, **(options or {})}
        if is_final:
            offered["yes"] = (Yes, False)
        self._add(name, help_text, offered, run, view, has_json=has_json)

    def _add(
        self,
        name: str,
        help_text: str,
        options: Options,
        run: "Callable[[Client, Json], Any]",
        view: View,
        *,
        has_json: bool = True,
        describe: "Callable[[Client, Json], None] | None" = None,
    ) -> Callable[..., None]:
        def command(
            context: typer.Context, *, as_json: bool = False, output: str = "table", **given: Any
        ) -> None:
            output = choose_output(output, as_json=as_json)
            with self._connect(context) as client:
                answer = run(client, given)
                if describe and output == "table":
                    describe(client, answer)
                    return
            show.print_answer(answer, output, view)

        offered = {"context": typer.Context, **options, **(OUTPUT if has_json else {})}
        return self.app.command(name, help=help_text)(declare(command, offered))


def _offer_times(operation: str) -> Options:
    """The options for a time of creation, where the operation selects by it."""
    return CREATED if CREATED.keys() <= {*load_operations()[operation].query} else {}


def _print_sentence(sentence: str) -> View:
    return lambda fields: show.out.print(sentence.format_map(fields))
