"""Prints for people (tables, with colours on a terminal) and for programs (JSON).

`out` and `err` are the consoles. `rich` is imported when something is printed: `perdure up`, which
imports this module, stays small without it.
"""

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from domain.ids import is_id
from domain.text import replace_surrogates

if TYPE_CHECKING:
    from rich.text import Text

    from cli.terminal.consoles import Terminal

    out: Terminal
    err: Terminal

Computed = Mapping[str, Callable[[dict[str, Any]], object]]
"""Cells that are computed from an item, by their columns."""

LONGEST_CELL = 60
"""Characters of free text in every column but the last; JSON has all of it (chosen)."""

SHORT_ID = 13
"""Characters of an id that contain its time, to the millisecond."""

WIDEST_TABLE = 500
MIB, GIB = 1024**2, 1024**3

STATUS_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "waiting_for_user": "magenta",
    "waiting_for_subtask": "cyan",
    "paused": "yellow",
}


def __getattr__(name: str) -> Any:
    if name in {"out", "err"}:
        from cli.terminal import consoles

        return getattr(consoles, name)
    raise AttributeError(name)


def print_answer(answer: Any, output: str, view: Callable[..., None]) -> None:
    """Print in a format of `-o`; `view` prints the table, and with `is_wide` the wide one."""
    printers: dict[str, Callable[..., None]] = {
        "json": print_json,
        "yaml": print_yaml,
        "id": print_ids,
    }
    print_it = printers.get(output, view)
    if output == "wide" and "is_wide" in inspect.signature(print_it).parameters:
        print_it = partial(print_it, is_wide=True)
    print_it(answer)


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(_encode(value, indent=2))  # noqa: T201 - for programs


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, and flush it."""
    print(_encode(value), flush=True)  # noqa: T201 - for programs


def _encode(value: object, *, indent: int | None = None) -> str:
    """JSON that UTF-8 can encode, whatever a server or a model sent.

    On a terminal it is ASCII, because other characters may act on it, or hide something.
    """
    if sys.stdout.isatty():
        return json.dumps(value, indent=indent)
    return replace_surrogates(json.dumps(value, indent=indent, ensure_ascii=False))


def print_items(
    items: Sequence[dict[str, Any]],
    columns: str,
    computed: Computed | None = None,
    *,
    nothing: str,
    is_wide: bool | None = None,
) -> None:
    """Print a table with a row for each item, or the sentence `nothing`.

    `columns` are separated by commas: a heading and, after a colon, the field, unless it has the
    same name. `a.b` is a field in a field, `a|b` the first that is not empty, and `a?` leaves the
    cell blank where the field is empty. Their names decide the format.

    On a terminal, ids are as short as is unique in the table, and times local; if it is wide, ids
    are whole and times UTC.
    """
    is_wide = not sys.stdout.isatty() if is_wide is None else is_wide
    computed = computed or {}
    parts = [column.partition(": ") for column in columns.split(", ")]
    fields = {heading.removesuffix("?"): field or heading for heading, _, field in parts}
    rows = [
        [
            computed[heading](item)
            if heading in computed
            else read_cell(item, field, is_wide=is_wide)
            for heading, field in fields.items()
        ]
        for item in items
    ]
    if not is_wide:
        rows = [list(row) for row in zip(*map(_shorten_ids, zip(*rows, strict=True)), strict=True)]
    print_rows(list(fields), rows, nothing=nothing)


def _shorten_ids(column: Sequence[object]) -> Sequence[object]:
    """A column in which ids are as long as they must be to differ, and at least as their time."""
    ids = {cell for cell in column if isinstance(cell, str) and is_id(cell)}
    length = SHORT_ID
    while len({one[:length] for one in ids}) < len(ids):
        length += 1
    return [cell[:length] if cell in ids else cell for cell in column]


def read_cell(item: Mapping[str, Any], field: str, *, is_wide: bool = True) -> object:
    """The formatted value of a field, as `print_items` describes it."""
    value: Any = None
    name = ""
    for path in field.removesuffix("?").split("|"):
        value = item
        for name in path.split("."):
            value = value.get(name) if value else None
        if value:
            break
    if not value and field.endswith("?"):
        return ""
    if name == "status":
        return format_status(str(value))
    if name == "at" or name.endswith("_at"):
        return format_time(value) if is_wide else format_local_time(value)
    if name.endswith("_usd"):
        return format_money(value)
    return ", ".join(value) if isinstance(value, list) else value


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], *, nothing: str) -> None:
    """Print a table, or the sentence `nothing`.

    A row is one line even on a narrow terminal: people copy ids, and scripts read lines.
    """
    from rich.measure import Measurement
    from rich.table import Table

    from cli.terminal.show import out

    if not rows:
        out.print(nothing)
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        longest = WIDEST_TABLE if column == columns[-1] else LONGEST_CELL
        table.add_column(column, overflow="ellipsis", no_wrap=True, max_width=longest)
    for row in rows:
        table.add_row(*map(_format_row, row))
    widest = out.options.update(max_width=WIDEST_TABLE)
    table.width = Measurement.get(out, widest, table).maximum
    out.print(table, crop=False)


def print_yaml(value: Any) -> None:
    """Print one YAML document."""
    from agent_library.yaml_text import write_yaml

    plain = json.loads(json.dumps(value))  # words that are members of an enum become texts
    print(replace_surrogates(write_yaml(plain)), end="")  # noqa: T201 - for programs


def print_ids(value: Any) -> None:
    """Print the id of each resource, one on a line."""
    listed = value.get("items", [value]) if isinstance(value, dict) else value
    for item in listed or ():  # there is none if a claim found no work
        key = next((item[name] for name in ("id", "agent_id", "key", "name") if name in item), None)
        if key is not None:
            print(key)  # noqa: T201 - for programs


def print_fields(resource: Mapping[str, Any], *, is_wide: bool | None = None) -> None:
    """Print the fields of a resource that are not empty, one below the other.

    Times are those of `print_items`.
    """
    from cli.terminal.show import out

    format_at = format_time if is_wide else format_moment
    fields = {
        name: format_at(value) if name.endswith("_at") else _format_cell(value)
        for name, value in resource.items()
        if value not in (None, "", [], {}) and name != "_links"
    }
    width = max(map(len, fields), default=0) + 1
    for name, value in fields.items():
        out.print_line((name.ljust(width), "dim"), value.replace("\n", "\n" + " " * width))


def print_name(resource: Mapping[str, Any]) -> None:
    """Print the name of a resource, and its id to copy."""
    from cli.terminal.show import out

    out.print_line(resource["name"], "  ", (resource["id"], "dim"))
    print_warnings(resource)


def print_warnings(resource: Mapping[str, Any]) -> None:
    """Print on stderr what will probably go wrong with a task or an execution."""
    from cli.terminal.show import err

    for warning in resource.get("warnings") or ():
        err.print_line((f"! {warning}", "yellow"))


def format_status(value: str) -> "Text":
    """A status in its colour."""
    from cli.terminal.consoles import style_text

    return style_text((value, STATUS_STYLES.get(value, "")))


def format_money(usd: float | None) -> str:
    """US dollars, precise enough for small calls."""
    return "-" if usd is None else f"${usd:.4f}"


def warn_of_dependents(answer: Any) -> None:
    """Print what still names a resource that was deleted."""
    found = answer.get("named_by", ()) if isinstance(answer, dict) else ()
    if found:
        from cli.terminal.show import err

        names = ", ".join(f"{one['kind'].replace('_', ' ')} {one['name']!r}" for one in found)
        err.print(f"Still named by {names}; change them, or they do not work any more.")


def format_bytes(size: int) -> str:
    """A size in MiB, or in GiB from one on."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / MIB:,.1f} MiB"


def format_moment(time: str | None) -> str:
    """A time of the API, as the tables of this output have it."""
    return format_local_time(time) if sys.stdout.isatty() else format_time(time)


def format_local_time(time: str | None) -> str:
    """A time of the API on this machine's clock, and how far away it is."""
    if time is None:
        return "-"
    at = datetime.fromisoformat(time).astimezone()
    now = datetime.now().astimezone()
    clock = f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"
    return f"{clock}, {_describe_distance((now - at).total_seconds())}"


def _describe_distance(seconds: float) -> str:
    """How long ago, or in how long."""
    size = abs(seconds)
    unit, length = next(((u, n) for u, n in _UNITS if size >= n), ("s", 1))
    return f"{size // length:.0f} {unit} ago" if seconds >= 0 else f"in {size // length:.0f} {unit}"


_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))


def format_time(time: str | None) -> str:
    """A time of the API without its fraction; `Z` marks it as UTC, as all of them are."""
    return "-" if time is None else f"{time[:19].replace('T', ' ')}Z"


def _format_cell(value: object) -> str:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return "-" if value is None else str(value)


def _format_row(cell: object) -> "str | Text":
    """A cell on one line: the rest of a text could look like another row."""
    from rich.text import Text

    return cell if isinstance(cell, Text) else _format_cell(cell).replace("\n", "␊")
