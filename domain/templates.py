"""Prompt templates: `{{ name }}`, one pass, values never scanned again (contract.md, section 2).

A name consists of letters of any script with their combining marks, digits, `_` and `-`. Names are
compared in NFC, because the same letters can be typed in two ways.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_RENDERED = 16 * 1024 * 1024
"""Characters (chosen: several times the largest context window, and small enough for memory)."""

MOST_PLACEHOLDERS = 10_000
"""Double braces of a template. Each costs a microsecond in the event loop (chosen)."""

_IN_BRACES = re.compile(r"\{\{\s*([^\s{}](?:[^{}\n]{0,200}[^\s{}])?)\s*\}\}")
_SIMPLE_NAME = re.compile(r"[\w-]+")
"""Names without combining marks."""

_EXPRESSION = re.compile(r"""[^\W\d].*|(['"])[^'"]*\1""")
"""What template languages have in double braces: `user.name`, `x | upper`, `'text'`."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered template, and the names without a value, each once, in order."""

    text: str
    missing: tuple[str, ...]


def render(template: str, variables: Mapping[str, Any]) -> Rendered:
    """Replace the placeholders. Single braces and placeholders without a value are not changed.

    Strings are inserted unchanged, other values as JSON.
    """
    values = {normalise(name): value for name, value in variables.items()}
    missing: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        name = normalise(match.group(1))
        if not _is_name(name):
            return match.group(0)
        if name not in values:
            missing[name] = None
            return match.group(0)
        return _text(values[name])

    return Rendered(_IN_BRACES.sub(fill, template), tuple(missing))


def rendered_length(template: str, variables: Mapping[str, Any]) -> int:
    """The length of the rendered text, computed without rendering, because it may be very long."""
    values = {normalise(name): value for name, value in variables.items()}
    lengths: dict[str, int] = {}
    total = len(template)
    for match in _IN_BRACES.finditer(template):
        name = normalise(match.group(1))
        if _is_name(name) and name in values:
            if name not in lengths:
                lengths[name] = len(_text(values[name]))
            total += lengths[name] - len(match.group(0))
    return total


def names(template: str) -> tuple[str, ...]:
    """The placeholders of a template in NFC, each once, in order."""
    found = map(normalise, _IN_BRACES.findall(template))
    return tuple(dict.fromkeys(name for name in found if _is_name(name)))


def unknown_expressions(template: str) -> tuple[str, ...]:
    """Texts in double braces that look like placeholders and are none, each once, in order."""
    return tuple(
        dict.fromkeys(
            match.group(0)
            for match in _IN_BRACES.finditer(template)
            if not _is_name(match.group(1)) and _EXPRESSION.fullmatch(match.group(1))
        )
    )


def normalise(name: str) -> str:
    """The form in which names are compared."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _is_name(text: str) -> bool:
    return _SIMPLE_NAME.fullmatch(text) is not None or all(
        c.isalnum() or c in "_-" or unicodedata.category(c)[0] == "M" for c in text
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
