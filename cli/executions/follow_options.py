"""The options of commands that wait for the end of an execution, and what they mean."""

from dataclasses import dataclass
from typing import Annotated

import typer

from cli.arguments.option_groups import OUTPUT, Options, add_options, choose_output
from cli.arguments.values import ArgumentError, Full

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Print every event as it happens.")]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Print the id and don't wait for the end.")
]
WatchOrDetach = Annotated[
    bool, typer.Option("--watch/--detach", "-w/-d", help="Print every event until the end.")
]
Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--leave",
        help="When a person is needed: continue to wait, or end with exit code 4. "
        "(default: wait on a terminal, where you are asked)",
    ),
]


@dataclass(frozen=True, slots=True)
class Following:
    """How a command follows an execution.

    With `watch` every event is printed, else a status line. When a person is needed: with `stay`
    it asks on a terminal and continues, else it ends with `Exit.WAITING`; None: on a terminal it
    stays. `full`: inputs and outputs of tools are printed whole. `output` is a format of `-o`.
    `plan_id`: the execution is the run of this plan.
    """

    watch: bool = False
    full: bool = False
    stay: bool | None = None
    detach: bool = False
    output: str = "table"
    plan_id: str | None = None


def _make_following(
    *,
    output: str,
    as_json: bool,
    full: bool = False,
    stay: bool | None = None,
    watch: bool = True,
    detach: bool = False,
) -> Following:
    """The options as one object; a watching command has no option for it.

    Raises:
        ArgumentError: the format is none in which events can be printed.
    """
    chosen = choose_output(output, as_json=as_json)
    if watch and not detach and chosen not in {"table", "json"}:
        raise ArgumentError(f"Events are printed as text or with -o json; leave out -o {chosen}.")
    return Following(watch=watch, full=full, stay=stay, detach=detach, output=chosen)


Interrupt = Annotated[
    bool,
    typer.Option("--interrupt", help="Stop the step in progress; the model reads this now."),
]


def _make_optional(*, watch: bool, stay: bool | None, output: str, as_json: bool) -> Following:
    return _make_following(detach=not watch, stay=stay, output=output, as_json=as_json)


_WATCHING: Options = {"full": (Full, False), "stay": (Stay, None), **OUTPUT}

with_watching = add_options("how", _WATCHING, _make_following)
"""The options of a command that prints the events of an execution."""

with_detaching = add_options(
    "how", {"watch": (Watch, False), **_WATCHING, "detach": (Detach, False)}, _make_following
)
"""The options of a command that waits for the end of an execution, or leaves it running."""

with_optional_watching = add_options(
    "how", {"watch": (WatchOrDetach, False), "stay": (Stay, None), **OUTPUT}, _make_optional
)
"""The options of a command that leaves an execution running unless it is asked to wait."""
