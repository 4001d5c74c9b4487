"""What changed since the run before: by items where results are structured, else by lines. Pure.

A list of objects that all have an identity of their own (`IDENTITIES`) is compared object by
object, wherever it stands in the result, so that a new first entry does not make all others look
changed. A list of plain values is compared as a bag, anything else by its place.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from domain.report_facts import FileVersion, PreviousRun
from domain.text import clean
from reports.model import ChangedItem, Comparison, Difference
from reports.wording import size

IDENTITIES = ("id", "key", "name", "title", "url")
"""Fields that say which thing an object is, the surest first."""

MAX_ITEMS = 40
"""Of each of new, changed and gone: what somebody reads (chosen)."""

VALUE_CHARS = 240
"""Of a value that is told: three lines of print (chosen)."""

MAX_DEPTH = 12
"""Below this a value is compared as a whole (chosen)."""

MAX_LINES, LINE_CHARS = 2_000, 2_000
"""Of a text: comparing two of them takes half a second at most (measured)."""

Kind = Literal["new", "changed", "gone"]
Change = tuple[Kind, ChangedItem]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: the nearest thing with a name, and the way from there."""

    name: str = ""
    path: str = ""

    def below(self, field: str) -> "Place":
        """A field of an object, or a place in a list."""
        dotted = field if not self.path or field.startswith("[") else f".{field}"
        return Place(self.name, f"{self.path}{dotted}")

    def item(self, kind: Kind, before: Any, after: Any) -> Change:
        """A change at this place."""
        name, path = (self.name, self.path) if self.name else (self.path or "result", "")
        return kind, ChangedItem(
            name=_short(name),
            path=_short(path),
            before=None if kind == "new" else told(before),
            after=None if kind == "gone" else told(after),
        )


def difference(earlier: PreviousRun, result: Mapping[str, Any] | None) -> Difference:
    """What this run's result and files have otherwise than the earlier one's."""
    of, changes = _results(earlier.result or {}, result or {})
    return Difference(
        execution_id=earlier.execution_id,
        report_id=earlier.report_id,
        completed_at=earlier.completed_at,
        of=of,
        result=_bounded(changes),
        files=_bounded(files(earlier.files, earlier.current_files)),
    )


def _results(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Literal["items", "lines", "nothing"], Iterator[Change]]:
    if before.get("output") is not None and after.get("output") is not None:
        return "items", values(before["output"], after["output"])
    if before.get("text") and after.get("text"):
        return "lines", lines(str(before["text"]), str(after["text"]))
    return "nothing", iter(())


def _bounded(changes: Iterator[Change]) -> Comparison:
    kept: dict[Kind, list[ChangedItem]] = {"new": [], "changed": [], "gone": []}
    left_out = 0
    for kind, item in changes:
        if len(kept[kind]) < MAX_ITEMS:
            kept[kind].append(item)
        else:
            left_out += 1
    return Comparison(**{kind: tuple(items) for kind, items in kept.items()}, left_out=left_out)


def values(before: Any, after: Any, place: Place | None = None, depth: int = 0) -> Iterator[Change]:
    """The changes between two JSON values."""
    place = place or Place()
    if before == after and type(before) is type(after):
        return
    if isinstance(before, dict) and isinstance(after, dict) and depth < MAX_DEPTH:
        yield from _fields(before, after, place, depth)
    elif isinstance(before, list) and isinstance(after, list) and depth < MAX_DEPTH:
        yield from _lists(before, after, place, depth)
    else:
        yield place.item("changed", before, after)


def _fields(
    before: Mapping[str, Any], after: Mapping[str, Any], place: Place, depth: int
) -> Iterator[Change]:
    for name in after:
        if name in before:
            yield from values(before[name], after[name], place.below(name), depth + 1)
        else:
            yield place.below(name).item("new", None, after[name])
    for name in before.keys() - after.keys():
        yield place.below(name).item("gone", before[name], None)


def _lists(before: list[Any], after: list[Any], place: Place, depth: int) -> Iterator[Change]:
    identity = _identity([*before, *after])
    if identity:
        old, new = ({str(i[identity]): i for i in items} for items in (before, after))
        if len(old) == len(before) and len(new) == len(after):
            yield from _things(old, new, depth)
            return
    if not any(isinstance(value, dict | list) for value in [*before, *after]):
        yield from _bags(before, after, place)
        return
    numbered = [{f"[{n}]": value for n, value in enumerate(side)} for side in (before, after)]
    yield from _fields(numbered[0], numbered[1], place, depth)


def _identity(items: Sequence[Any]) -> str | None:
    """The field by which all of these objects can be told apart."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    named = (f for f in IDENTITIES if all(isinstance(i.get(f), str | int) for i in items))
    return next(named, None)


def _things(old: Mapping[str, Any], new: Mapping[str, Any], depth: int) -> Iterator[Change]:
    for name, thing in new.items():
        if name in old:
            yield from values(old[name], thing, Place(name), depth + 1)
        else:
            yield Place(name).item("new", None, thing)
    for name, thing in old.items():
        if name not in new:
            yield Place(name).item("gone", thing, None)


def _bags(before: list[Any], after: list[Any], place: Place) -> Iterator[Change]:
    old, new = (Counter(map(told, side)) for side in (before, after))
    for value in (new - old).elements():
        yield place.item("new", None, value)
    for value in (old - new).elements():
        yield place.item("gone", value, None)


def lines(before: str, after: str) -> Iterator[Change]:
    """The changes between two texts; blank lines and spaces at the end say nothing."""
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


def files(before: Sequence[FileVersion], after: Sequence[FileVersion]) -> Iterator[Change]:
    """The changes between two sets of kept files, by name and content."""
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
    return f"{size(file.size_bytes)}, sha256 {file.sha256[:12]}"


def told(value: Any) -> str:
    """A value as a person reads it, its beginning only."""
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    text = clean(text)
    return text if len(text) <= VALUE_CHARS else f"{text[: VALUE_CHARS - 1]}…"
