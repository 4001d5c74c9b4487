"""Prompt templates: `{{ name }}`, one pass, values never scanned again.

A name consists of letters of any script with their combining marks, digits, `_` and `-`. Names are
compared in NFC, because the same letters can be typed in two ways.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from domain.text import as_text

LONGEST_RENDERED = 16 * 1024 * 1024
"""Characters (chosen: several times the largest context window, and small enough for memory)."""

MOST_PLACEHOLDERS = 10_000
"""Double braces of a template. Each costs a microsecond in the event loop (chosen)."""

_IN_BRACES = re.compile(r"\{\{\s*([^\s{}](?:[^{}\n]{0,200}[^\s{}])?)\s*\}\}")
_SIMPLE_NAME = re.compile(r"[\w-]+")
"""Names without combining marks."""

_EXPRESSION = re.compile(r"""[^\W\d].*|(['"])[^'"]*\1""")
"""What template languages have in double braces: `user.name`, `x | upper`, `'text'`."""

_STEP = re.compile(r"steps\b.*")
_STEP_RESULT = re.compile(r"steps\.([A-Za-z0-9_-]+)\.result")
"""In a step of a plan: the result of another step, the only placeholder with dots."""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A rendered template, and the names without a value, each once, in order."""

    text: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepReference:
    """A placeholder `text` that begins with `steps`; without `key` it names no step's result."""

    text: str
    key: str | None


def render(
    template: str, variables: Mapping[str, Any], results: Mapping[str, str] = MappingProxyType({})
) -> RenderedPrompt:
    """Replace the placeholders. Single braces and placeholders without a value are not changed.

    Strings are inserted unchanged, other values as JSON. `results` are those of a plan's steps by
    key, for `{{ steps.KEY.result }}`.
    """
    values = {normalise(name): value for name, value in variables.items()}
    missing: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        name = normalise(match.group(1))
        if not _is_name(name):
            step = _STEP_RESULT.fullmatch(name)
            return results.get(step.group(1), match.group(0)) if step else match.group(0)
        if name not in values:
            missing[name] = None
            return match.group(0)
        return as_text(values[name])

    return RenderedPrompt(_IN_BRACES.sub(fill, template), tuple(missing))


def compute_rendered_length(template: str, variables: Mapping[str, Any]) -> int:
    """The length of the rendered text, computed without rendering, because it may be very long."""
    values = {normalise(name): value for name, value in variables.items()}
    lengths: dict[str, int] = {}
    total = len(template)
    for match in _IN_BRACES.finditer(template):
        name = normalise(match.group(1))
        if _is_name(name) and name in values:
            if name not in lengths:
                lengths[name] = len(as_text(values[name]))
            total += lengths[name] - len(match.group(0))
    return total


def step_references(template: str) -> tuple[StepReference, ...]:
    """The placeholders for results of steps, each once, in order."""
    found: dict[str, StepReference] = {}
    for match in _IN_BRACES.finditer(template):
        if _STEP.fullmatch(match.group(1)) and not _is_name(match.group(1)):
            result = _STEP_RESULT.fullmatch(match.group(1))
            key = result.group(1) if result else None
            found.setdefault(match.group(0), StepReference(match.group(0), key))
    return tuple(found.values())


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
