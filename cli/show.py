"""Printing for people (tables, on a terminal with colours) and for programs (JSON)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from domain.text import harmless


class Terminal(Console):
    """A console on which texts only show: rich lets escape sequences in them pass.

    By one, what a model wants run could be painted over where a person is asked to allow it.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as rich renders it, its controls made visible."""
        return super().render_str(harmless(text), **options)


out = Terminal(highlight=False)
err = Terminal(stderr=True, highlight=False)

LONGEST_CELL = 60
"""Of a table's free text but in its last column; JSON tells the rest (chosen)."""

WIDEST_TABLE = 500

STATUS_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "waiting_for_user": "magenta",
    "waiting_for_subtask": "cyan",
    "paused": "yellow",
}


def as_json(value: object) -> None:
    """Print one JSON document, plain."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - for programs


def as_json_line(value: object) -> None:
    """Print one JSON document on a line of its own, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)  # noqa: T201 - for programs


def rows(columns: Sequence[str], items: Sequence[Sequence[object]], *, nothing: str) -> None:
    """Print a table, or the sentence `nothing`.

    One line for each item however narrow the terminal is: ids are copied, and lines are piped.
    """
    if not items:
        out.print(nothing)
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        longest = WIDEST_TABLE if column == columns[-1] else LONGEST_CELL
        table.add_column(column, overflow="ellipsis", no_wrap=True, max_width=longest)
    for item in items:
        table.add_row(*(cell if isinstance(cell, Text) else _cell(cell) for cell in item))
    widest = out.options.update(max_width=WIDEST_TABLE)
    table.width = Measurement.get(out, widest, table).maximum
    out.print(table, crop=False)


def fields(thing: Mapping[str, Any]) -> None:
    """Print what a resource holds; what is empty is left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in thing.items():
        if value not in (None, "", [], {}) and name != "_links":
            table.add_row(name, when(value) if name.endswith("_at") else _cell(value))
    out.print(table)


def named(resource: Mapping[str, Any]) -> None:
    """Print what was made or changed: its name, and its id to copy."""
    out.print(f"{escape(resource['name'])}  [dim]{resource['id']}[/]")


def status(value: str) -> Text:
    """A status in its colour."""
    return Text(value, STATUS_STYLES.get(value, ""))


def money(usd: float | None) -> str:
    """US dollars, precise enough for small calls."""
    return "-" if usd is None else f"${usd:.4f}"


def when(time: str | None) -> str:
    """A time of the API without its fractions; the Z says that it is UTC, as all of them are."""
    return "-" if time is None else f"{time[:19].replace('T', ' ')}Z"


def _cell(value: object) -> str:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return escape("-" if value is None else str(value))
