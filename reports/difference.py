"""Compare two results: structured ones item by item, texts line by line. Pure.

In a list of objects that each have a value of their own in one of the fields `IDENTITIES`, an
object is compared with the object of the same identity, wherever it is in the list: a new first
entry does not change all others. A list of plain values is compared without regard to the order,
anything else by its position.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from domain.executions.report_facts import FileVersion, PreviousRun
from domain.text import as_text, clean
from reports.model import ChangedItem, Comparison, Difference
from reports.phrases import format_size, shorten

IDENTITIES = ("id", "key", "name", "title", "url")
"""Fields that identify an object, the most reliable first."""

MAX_ITEMS = 40
"""Of each of new, changed and gone: as many as a person reads (chosen)."""

VALUE_CHARS = 240
"""Of a value: three lines in print (chosen)."""

MAX_DEPTH = 12
"""A deeper value is compared as a whole (chosen)."""

MAX_LINES, LINE_CHARS = 2_000, 2_000
"""Of a text: comparing two of them takes half a second at most (measured)."""

Kind = Literal["new", "changed", "gone"]
Change = tuple[Kind, ChangedItem]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a value is: the nearest object with an identity, and the path from there."""

    name: str = ""
    path: str = ""

    def child(self, field: str) -> "Location":
        """The location of a field of an object, or of an entry `[n]` of a list."""
        dotted = field if not self.path or field.startswith("[") else f".{field}"
        return Location(self.name, f"{self.path}{dotted}")

    def change(self, kind: Kind, before: Any, after: Any) -> Change:
        """A change at this location."""
        name, path = (self.name, self.path) if self.name else (self.path or "result", "")
        return kind, ChangedItem(
            name=_short(name),
            path=_short(path),
            before=None if kind == "new" else _format_value(before),
            after=None if kind == "gone" else _format_value(after),
        )


def compare_runs(previous: PreviousRun, result: Mapping[str, Any] | None) -> Difference:
    """How the result and the files of this run differ from those of the previous one."""
    of, changes = _compare_results(previous.result or {}, result or {})
    return Difference(
        execution_id=previous.execution_id,
        report_id=previous.report_id,
        completed_at=previous.completed_at,
        of=of,
        result=_collect(changes),
        files=_collect(compare_files(previous.files, previous.current_files)),
    )


def _compare_results(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Literal["items", "lines", "nothing"], Iterator[Change]]:
    if before.get("output") is not None and after.get("output") is not None:
        return "items", compare_values(before["output"], after["output"])
    if before.get("text") and after.get("text"):
        return "lines", compare_lines(str(before["text"]), str(after["text"]))
    return "nothing", iter(())


def _collect(changes: Iterator[Change]) -> Comparison:
    kept: dict[Kind, list[ChangedItem]] = {"new": [], "changed": [], "gone": []}
    left_out = 0
    for kind, item in changes:
        if len(kept[kind]) < MAX_ITEMS:
            kept[kind].append(item)
        else:
            left_out += 1
    return Comparison(**{kind: tuple(items) for kind, items in kept.items()}, left_out=left_out)


def compare_values(
    before: Any, after: Any, at: Location | None = None, depth: int = 0
) -> Iterator[Change]:
    """The changes between two JSON values."""
    at = at or Location()
    if before == after and type(before) is type(after):
        return
    if isinstance(before, dict) and isinstance(after, dict) and depth < MAX_DEPTH:
        yield from _compare_mappings(before, after, at.child, depth)
    elif isinstance(before, list) and isinstance(after, list) and depth < MAX_DEPTH:
        yield from _compare_lists(before, after, at, depth)
    else:
        yield at.change("changed", before, after)


def _compare_mappings(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    locate: Callable[[str], Location],
    depth: int,
) -> Iterator[Change]:
    for name, value in after.items():
        if name in before:
            yield from compare_values(before[name], value, locate(name), depth + 1)
        else:
            yield locate(name).change("new", None, value)
    for name, value in before.items():
        if name not in after:
            yield locate(name).change("gone", value, None)


def _compare_lists(
    before: list[Any], after: list[Any], at: Location, depth: int
) -> Iterator[Change]:
    identity = _identity([*before, *after])
    if identity:
        old, new = ({str(i[identity]): i for i in items} for items in (before, after))
        if len(old) == len(before) and len(new) == len(after):
            yield from _compare_mappings(old, new, Location, depth)
            return
    if not any(isinstance(value, dict | list) for value in [*before, *after]):
        yield from _compare_bags(before, after, at)
        return
    numbered = [{f"[{n}]": value for n, value in enumerate(side)} for side in (before, after)]
    yield from _compare_mappings(numbered[0], numbered[1], at.child, depth)


def _identity(items: Sequence[Any]) -> str | None:
    """The field that identifies each of these objects, if there is one."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    named = (f for f in IDENTITIES if all(isinstance(i.get(f), str | int) for i in items))
    return next(named, None)


def _compare_bags(before: list[Any], after: list[Any], at: Location) -> Iterator[Change]:
    old, new = (Counter(map(_format_value, side)) for side in (before, after))
    for value in (new - old).elements():
        yield at.change("new", None, value)
    for value in (old - new).elements():
        yield at.change("gone", value, None)


def compare_lines(before: str, after: str) -> Iterator[Change]:
    """The changes between two texts; blank lines and trailing spaces are ignored."""
    old, new = _lines(before), _lines(after)
    for kind, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        pairs = min(b - a, d - c) if kind == "replace" and b - a == d - c else 0
        for one, other in zip(old[a : a + pairs], new[c : c + pairs], strict=True):
            yield "changed", ChangedItem(name="", before=_short(one), after=_short(other))
        if kind != "equal":
            for line in new[c + pairs : d]:
                yield "new", ChangedItem(name="", after=_short(line))
            for line in old[a + pairs : b]:
                yield "gone", ChangedItem(name="", before=_short(line))


def _lines(text: str) -> list[str]:
    found = (line.rstrip()[:LINE_CHARS] for line in text.splitlines())
    return [line for line in found if line][:MAX_LINES]


def compare_files(before: Sequence[FileVersion], after: Sequence[FileVersion]) -> Iterator[Change]:
    """The changes between two sets of saved files, by name and content."""
    old, new = ({file.name: file for file in side} for side in (before, after))
    for name, file in new.items():
        if name not in old:
            yield "new", ChangedItem(name=_short(name), after=_file(file))
        elif old[name].sha256 != file.sha256:
            yield (
                "changed",
                ChangedItem(name=_short(name), before=_file(old[name]), after=_file(file)),
            )
    for name, file in old.items():
        if name not in new:
            yield "gone", ChangedItem(name=_short(name), before=_file(file))


def _file(file: FileVersion) -> str:
    return f"{format_size(file.size_bytes)}, sha256 {file.sha256[:12]}"


def _format_value(value: Any) -> str:
    """The start of a text, or of a value as JSON."""
    return _short(as_text(value))


def _short(text: str) -> str:
    return shorten(clean(text), VALUE_CHARS)
