"""What people enter in the controls of a form (`nested_forms`), as values, and back.

What is read from a form is not validated.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from domain.errors import FieldProblem
from domain.people.form_fields import format_entry
from domain.people.nested_forms import Control, ControlKind, Entries, is_number

_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,300}(?P<fraction>\.[0-9]{0,300})?", re.ASCII)
_FILL_IN = "Fill in this field."


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: a value, unless `is_empty`, and why entries can't be read."""

    value: Any = None
    is_empty: bool = False
    problems: Sequence[FieldProblem] = ()


EMPTY = Reading(is_empty=True)


def read_control(control: Control, entries: Entries) -> Reading:
    """Read a value from a form."""
    if control.kind is ControlKind.GROUP:
        return _read_group(control, entries)
    if control.kind is ControlKind.ROWS:
        return _read_rows(control, entries)
    entered = [entry for entry in entries.get(control.name, ()) if entry.strip()]
    if entered:
        return _read_entered(control, entered)
    if control.is_nullable:
        return Reading(None)
    if control.kind in (ControlKind.CHOICES, ControlKind.LINES) and control.is_required:
        return Reading([])  # the schema decides whether it may be empty
    return _refuse(control, _FILL_IN) if control.is_required else EMPTY


def _read_group(control: Control, entries: Entries) -> Reading:
    """Read an object; one that may be left out is empty if all its members are."""
    is_entered = any(_has_entries(child, entries) for child in control.children)
    if not is_entered and not control.is_required:
        return Reading(None) if control.is_nullable else EMPTY
    readings = [(child, read_control(child, entries)) for child in control.children]
    value = {child.key: made.value for child, made in readings if not made.is_empty}
    problems = [problem for _, reading in readings for problem in reading.problems]
    return Reading(value, problems=problems)


def _read_rows(control: Control, entries: Entries) -> Reading:
    """Read a list of objects, or one object, from the columns; empty rows don't count."""
    columns = [entries.get(child.name, ()) for child in control.children]
    rows: list[dict[str, Any]] = []
    problems: list[FieldProblem] = []
    for number, cells in enumerate(zip_longest(*columns, fillvalue=""), 1):
        if not any(cell.strip() for cell in cells):
            continue
        row: dict[str, Any] = {}
        for child, cell in zip(control.children, cells, strict=True):
            entered = cell.split(",") if child.kind is ControlKind.LINES else [cell]
            reading = read_control(child, {child.name: [part.strip() for part in entered]})
            problems += _name_row(control, child, number, reading.problems)
            if not reading.is_empty and reading.value is not None:
                row[child.key] = reading.value
        if control.holds_names and row.get("name") in {other.get("name") for other in rows}:
            msg = f"Row {number}: Another row has this name; choose a different one."
            problems.append(FieldProblem(("body", *_steps(control.name)), msg))
        rows.append(row)
    if problems:
        return Reading(is_empty=True, problems=problems)
    if not rows and not control.is_required:
        return Reading(None) if control.is_nullable else EMPTY
    if not control.holds_names:
        return Reading(rows)
    return Reading({row["name"]: row.get("value", "") for row in rows})


def _name_row(
    control: Control, child: Control, number: int, problems: Sequence[FieldProblem]
) -> Iterator[FieldProblem]:
    """The problems of a cell at the rows as a whole, which have one place for them."""
    for problem in problems:
        msg = f"Row {number}, {child.label}: {problem.msg}"
        yield FieldProblem(("body", *_steps(control.name)), msg)


def fill_control(control: Control, value: Any) -> Iterator[tuple[str, list[str]]]:
    """The entries of a form that shows this value."""
    if control.kind is ControlKind.GROUP:
        members = value if isinstance(value, Mapping) else {}
        for child in control.children:
            yield from fill_control(child, members.get(child.key))
    elif control.kind is ControlKind.ROWS:
        rows = value or ()
        if control.holds_names:
            rows = [{"name": name, "value": text} for name, text in dict(rows).items()]
        for child in control.children:
            cells = (dict(fill_control(child, row.get(child.key))) for row in rows)
            yield child.name, [", ".join(cell[child.name]) for cell in cells]
    elif control.kind is ControlKind.JSON:
        is_empty = value is None or value in ({}, [])
        yield control.name, [] if is_empty else [json.dumps(value, ensure_ascii=False, indent=2)]
    elif isinstance(value, (list, tuple)):
        yield control.name, [format_entry(item) for item in value]
    else:
        is_whole = isinstance(value, float) and value.is_integer()
        yield (
            control.name,
            [] if value is None else [format_entry(int(value) if is_whole else value)],
        )


def _has_entries(control: Control, entries: Entries) -> bool:
    if control.kind in (ControlKind.GROUP, ControlKind.ROWS):
        return any(_has_entries(child, entries) for child in control.children)
    return any(entry.strip() for entry in entries.get(control.name, ()))


def _read_entered(control: Control, entered: Sequence[str]) -> Reading:
    match control.kind:
        case ControlKind.CHOICES:
            return Reading([control.values.get(entry, entry) for entry in entered])
        case ControlKind.CHOICE:
            # A box that is ticked sends its value after that of the box that is not.
            return Reading(control.values.get(entered[-1], entered[-1]))
        case ControlKind.LINES:
            lines = [line for entry in entered for line in entry.split("\n") if line]
            return (
                _read_numbers(control, lines)
                if is_number(control.schema.get("items"))
                else Reading(lines)
            )
        case ControlKind.NUMBER:
            return _read_number(control, entered[0])
        case ControlKind.JSON:
            return _read_json(control, entered[0])
        case _:
            return Reading(entered[0])


def _read_numbers(control: Control, lines: Sequence[str]) -> Reading:
    found = [_read_number(control, line) for line in lines]
    problems = [problem for reading in found for problem in reading.problems]
    return Reading([reading.value for reading in found], bool(problems), problems)


def _read_number(control: Control, entry: str) -> Reading:
    found = _NUMBER.fullmatch(entry.strip())
    if found is None:
        return _refuse(control, "Write a number, for example 2.5.")
    return Reading(float(entry) if found["fraction"] else int(entry))


def _read_json(control: Control, entry: str) -> Reading:
    try:
        return Reading(json.loads(entry))
    except (ValueError, RecursionError) as error:
        return _refuse(control, f"Write valid JSON. {describe_json_error(error)}")


def describe_json_error(error: Exception) -> str:
    """Where and why JSON can't be parsed."""
    if isinstance(error, json.JSONDecodeError):
        return f"Line {error.lineno}, column {error.colno}: {error.msg}."
    return "It is nested too deeply, or contains a value that is not supported."


def _refuse(control: Control, msg: str) -> Reading:
    loc = ("body", *_steps(control.name))
    return Reading(is_empty=True, problems=[FieldProblem(loc, msg)])


def _steps(name: str) -> Iterator[str]:
    for step in name.split("/"):
        yield step.replace("~1", "/").replace("~0", "~")
