"""Inputs of tools in a form that a person can read, and as JSON that a person can edit."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from domain.text import harmless
from domain.tools.engine import SUBMIT_PLAN
from reports.phrases import format_json

MOST_LINES = 2_000
"""Of a text that is compared line by line: takes half a second at most (measured for reports)."""

_SHORT = 80
"""A longer text gets lines of its own (chosen)."""

Mark = Literal["same", "old", "new"]


@dataclass(frozen=True, slots=True)
class InputPart:
    """A field of an input: a short text, a block of text, Markdown, or a difference's lines."""

    name: str
    text: str = ""
    is_block: bool = False
    is_prose: bool = False
    lines: tuple[tuple[Mark, str], ...] = ()


def describe_input(tool_input: Any, tool: str | None = None) -> list[InputPart]:
    """The parts of an input, in their order. An edit of a file is a difference.

    Only the plan of `submit_plan` is Markdown: of the inputs of other tools, no character may be
    hidden from the person who approves them.
    """
    if not isinstance(tool_input, Mapping):
        return [InputPart("input", format_json(tool_input), is_block=True)]
    fields = dict(tool_input)
    parts = [
        _describe_field(name, value, is_prose=tool == SUBMIT_PLAN and name == "plan")
        for name, value in fields.items()
    ]
    old, new = fields.get("old_text"), fields.get("new_text")
    if isinstance(old, str) and isinstance(new, str):
        kept = [part for part in parts if part.name not in {"old_text", "new_text"}]
        return [*kept, InputPart("change", lines=tuple(compare_texts(old, new)))]
    return parts


def describe_edit(before: Any, after: Any) -> list[InputPart]:
    """The parts of an input that a person edited; the fields that changed are differences."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        before, after = {"input": before}, {"input": after}
    parts = []
    for name in dict.fromkeys([*before, *after]):
        old, new = ([_text_of(given[name])] if name in given else [] for given in (before, after))
        if old == new:
            parts.append(_describe_field(name, after[name], is_prose=False))
        else:
            lines = compare_texts(*old, *new) if old and new else _mark_lines(old, new)
            parts.append(InputPart(name, lines=tuple(lines)))
    return parts


def _mark_lines(removed: Sequence[str], added: Sequence[str]) -> Iterator[tuple[Mark, str]]:
    yield from (("old", line) for text in removed for line in text.split("\n"))
    yield from (("new", line) for text in added for line in text.split("\n"))


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else format_json(value)


def _describe_field(name: str, value: Any, *, is_prose: bool) -> InputPart:
    text = _text_of(value)
    is_block = "\n" in text or len(text) > _SHORT or name == "command"
    return InputPart(name, text, is_block, is_prose=is_block and is_prose)


def compare_texts(old: str, new: str) -> Iterator[tuple[Mark, str]]:
    """The lines of both texts, each once if it is in both."""
    before, after = old.split("\n"), new.split("\n")
    if before[-1] == after[-1] == "":
        before.pop()
        after.pop()
    if max(len(before), len(after)) > MOST_LINES:
        yield from (("old", line) for line in before)
        yield from (("new", line) for line in after)
        return
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (("same", line) for line in before[a:b])
        else:
            yield from (("old", line) for line in before[a:b])
            yield from (("new", line) for line in after[c:d])


def editable_texts(tool_input: Any) -> Mapping[str, str]:
    """The fields of an input that a person can edit as texts; none if JSON is needed for one."""
    if not isinstance(tool_input, Mapping):
        return {}
    is_plain = all(
        isinstance(value, str) and harmless(value) == value and name.isidentifier()
        for name, value in tool_input.items()
    )
    return dict(tool_input) if is_plain else {}


_CONTROLS = re.compile(r"[^\x20-\x7e\n]")


def editable_json(value: Any) -> str:
    """Indented JSON in which invisible characters are escapes, so that a person can edit it."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _CONTROLS.sub(_escape_control, text)


def _escape_control(found: re.Match[str]) -> str:
    character = found[0]
    return character if harmless(character) == character else json.dumps(character)[1:-1]
