"""Prompt templates: `{{ name }}`, one pass, values never scanned again (contract.md, section 2)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_RENDERED = 16 * 1024 * 1024
"""Characters (chosen: several times the largest context window, and small enough for memory)."""

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered template, and the names without a value, each once, in order."""

    text: str
    missing: tuple[str, ...]


def render(template: str, variables: Mapping[str, Any]) -> Rendered:
    """Replace the placeholders. Single braces and placeholders without a value are not changed.

    Strings are inserted unchanged, other values as JSON.
    """
    missing: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            missing[name] = None
            return match.group(0)
        return _text(variables[name])

    return Rendered(PLACEHOLDER.sub(fill, template), tuple(missing))


def rendered_length(template: str, variables: Mapping[str, Any]) -> int:
    """The length of the rendered text, computed without rendering, because it may be very long."""
    lengths: dict[str, int] = {}
    total = len(template)
    for match in PLACEHOLDER.finditer(template):
        name = match.group(1)
        if name in variables:
            if name not in lengths:
                lengths[name] = len(_text(variables[name]))
            total += lengths[name] - len(match.group(0))
    return total


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def names(template: str) -> tuple[str, ...]:
    """The placeholders of a template, each once, in order."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(template)))
