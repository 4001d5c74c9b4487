"""Options that several commands share: a command declares the group and receives one object."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Annotated, Any, Literal

import typer

Options = Mapping[str, Any]
"""By name: a type annotated for Typer where it is required, else that and its default."""
Command = Callable[..., None]

Output = Annotated[
    Literal["table", "json", "yaml", "wide", "id"],
    typer.Option(
        "--output", "-o", help="wide: whole ids, and times in UTC, as without a terminal."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as -o json.")]


def declare(command: Command, options: Options, own: Iterable[inspect.Parameter] = ()) -> Command:
    """Make Typer see these parameters: it reads the signature, which a function may set (PEP 362).

    `own` are the other parameters of the command.
    """
    parameters = [*own, *(_make_parameter(name, option) for name, option in options.items())]
    vars(command)["__signature__"] = inspect.Signature(parameters)
    return command


def _make_parameter(name: str, option: Any) -> inspect.Parameter:
    annotation, default = option if isinstance(option, tuple) else (option, inspect.Parameter.empty)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)


def add_options(
    name: str, options: Options, make: Callable[..., Any]
) -> Callable[[Command], Command]:
    """Give a command these options; its parameter `name` is what `make` makes of their values."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            values = {option: given.pop(option) for option in options}
            command(**given, **{name: make(**values)})

        own = inspect.signature(command).parameters.values()
        return declare(run, options, [parameter for parameter in own if parameter.name != name])

    return decorate


OUTPUT: Options = {"output": (Output, "table"), "as_json": (AsJson, False)}


def choose_output(output: str, *, as_json: bool) -> str:
    """The format that is asked for by `-o` or `--json`."""
    return "json" if as_json else output


with_output = add_options("output", OUTPUT, choose_output)
"""The options `-o` and `--json`; the command prints with `show.print_answer`."""
