"""Reads YAML 1.2 (the core schema) and JSON as they are written, with the line of each value.

YAML knows three kinds of words: `no`, `12:30` and `2026-11-28` are texts, `5` and `true` are
values, and `1.10` or `0x1F` are both: a text, unless a number is required
(`ParsedDocument.readings`).
"""

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from domain.model.json_values import parse_json

Location = tuple[str | int, ...]
Scalar = tuple[Any, ...]
"""The value of an unquoted word and, if there is one, its other reading."""

DEEPEST = 200
"""Levels of lists and objects, as in a request."""

MOST_REPEATED = 10_000
"""Values that aliases repeat (chosen): a short text could have billions."""

_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0o(?P<octal>[0-7]+)|0x(?P<hexadecimal>[0-9a-fA-F]+)")
_CONSTANTS = {"true": True, "false": False, "null": None}
_MOST_DIGITS = 300
"""Of a number; Python refuses to convert much longer ones."""

_BREAKS = "\x85\u2028\u2029"
"""Characters that end a line in YAML 1.1, which libyaml implements, but not in YAML 1.2."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


class DocumentError(ValueError):
    """A text can't be read. `line` is where; `is_syntax`: it is not YAML, or not JSON."""

    def __init__(self, message: str, line: int, *, is_syntax: bool = False) -> None:
        """The message says what is wrong and what to do."""
        super().__init__(message)
        self.line = line
        self.is_syntax = is_syntax


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A value, the lines of its parts, and the other readings of its unquoted words."""

    value: Any
    lines: Mapping[Location, int]
    readings: Mapping[Location, Any] = field(default_factory=dict)

    def line_of(self, loc: Location) -> int:
        """The line of the part at `loc`, or of the innermost part around it."""
        return next(self.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.lines)

    def with_readings(self, locs: set[Location]) -> Any:
        """The value, with the other reading of the words at these locations."""
        value = copy.deepcopy(self.value)
        for loc in locs & self.readings.keys():
            parent = value
            for step in loc[:-1]:
                parent = parent[step]
            parent[loc[-1]] = self.readings[loc]
        return value


def read_yaml(text: str, *, first_line: int = 1, as_texts: bool = False) -> list[ParsedDocument]:
    """Read the documents of a YAML text that are not empty; `as_texts`: every word is a text.

    Raises:
        DocumentError: the text is not YAML, or a key appears twice.
    """
    masks = _choose_masks(text)
    masked = text.translate({ord(found): mask for found, mask in masks.items()})
    unmask = {ord(mask): found for found, mask in masks.items()}
    resolve = (lambda word: (word,)) if as_texts else resolve_word
    try:
        builder = _Builder(yaml.parse(masked, Loader=yaml.CSafeLoader), first_line, resolve, unmask)
        return list(builder.build_documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + min(mark.line if mark else 0, text.count("\n"))
        message = f"This is not valid YAML: {error.problem or error.context}."
        raise DocumentError(message, line, is_syntax=True) from error
    except RecursionError as error:  # aliases in aliases
        raise DocumentError("This is nested too deeply; use fewer levels.", first_line) from error
    except yaml.reader.ReaderError as error:
        line = first_line + masked.encode()[: error.position].count(b"\n")
        message = f"The character U+{error.character:04X} is not allowed; remove it."
        raise DocumentError(message, line, is_syntax=True) from error


def read_json(text: str) -> ParsedDocument:
    """Read a JSON text; numbers are numbers.

    Raises:
        DocumentError: the text is not JSON, or a key appears twice.
    """
    try:
        value = parse_json(text)
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"This is not valid JSON: {error.msg}.", error.lineno, is_syntax=True
        ) from error
    except ValueError as error:
        raise DocumentError(f"This is not valid JSON: {error}.", 1, is_syntax=True) from error
    lines: dict[Location, int] = {}
    _locate(_tokens(text), (), lines)
    return ParsedDocument(repair_text(value), lines)


def resolve_word(word: str) -> Scalar:
    """The value of an unquoted word in the core schema, and its other reading.

    A number that would be printed differently than it is written is a text first.
    """
    if word in {"", "~", "null"}:
        return (None,)
    if word in {"true", "false"}:
        return (_CONSTANTS[word], word)
    lowered = word.lower()
    if lowered in _CONSTANTS and word in {lowered.upper(), lowered.capitalize()}:
        return (word, _CONSTANTS[lowered])
    number = _number(word)
    if number is None:
        return (word,)
    return (number, word) if json.dumps(number) == word else (word, number)


def _number(word: str) -> int | float | None:
    if len(word) > _MOST_DIGITS:
        return None
    if found := _BASED.fullmatch(word):
        octal = found["octal"]
        return int(octal, 8) if octal else int(found["hexadecimal"], 16)
    if not (found := _NUMBER.fullmatch(word)):
        return None
    if "." not in word and found[3] is None:
        return int(word)
    number = float(word)
    return number if math.isfinite(number) else None


def repair_text(value: Any) -> Any:
    """Join the surrogates of escaped characters, and replace those that are alone with U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [repair_text(item) for item in value]
    if isinstance(value, dict):
        return {repair_text(key): repair_text(item) for key, item in value.items()}
    return value


def _choose_masks(text: str) -> dict[str, str]:
    """Private characters that do not occur in the text, in place of `_BREAKS` that do."""
    unused = (char for code in range(0xE000, 0xF900) if (char := chr(code)) not in text)
    return {found: next(unused) for found in _BREAKS if found in text}


def _check_key(lines: dict[Location, int], loc: Location, line: int) -> None:
    if loc in lines:
        raise DocumentError(
            f"The key {str(loc[-1])!r} appears twice, first in line {lines[loc]}; keep one.", line
        )
    lines[loc] = line


class _Builder:
    """Builds values from the parser's events; recursive, but only `DEEPEST` levels deep."""

    def __init__(
        self,
        events: Iterator[Any],
        first_line: int,
        resolve: Callable[[str], Scalar],
        unmask: Mapping[int, str],
    ) -> None:
        self._events = events
        self._first_line = first_line
        self._resolve = resolve
        self._unmask = unmask
        self._count = 0
        self._repeated = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._lines: dict[Location, int] = {}
        self._readings: dict[Location, Any] = {}

    def build_documents(self) -> Iterator[ParsedDocument]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors, self._lines, self._readings = {}, {}, {}
                first = next(self._events)
                self._lines[()] = self._line(first)
                value = self._build(first, ())
                if value is not None:
                    yield ParsedDocument(value, self._lines, self._readings)

    def _build(self, event: Any, loc: Location) -> Any:
        self._check(event, loc)
        before = self._count
        self._count += 1
        match event:
            case yaml.AliasEvent():
                return self._copy_anchor(event)
            case yaml.ScalarEvent():
                value = self._build_scalar(event, loc)
            case yaml.SequenceStartEvent():
                value = self._build_list(loc)
            case _:
                value = self._build_mapping(loc)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _check(self, event: Any, loc: Location) -> None:
        if len(loc) > DEEPEST:
            message = f"This is nested too deeply; nest at most {DEEPEST} levels."
            raise DocumentError(message, self._line(event))
        tag = getattr(event, "tag", None)
        if tag not in _TAGS:
            message = f"The tag {tag!r} is not supported; write the value without a tag."
            raise DocumentError(message, self._line(event))

    def _copy_anchor(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            message = f"There is no complete value {event.anchor!r} before this line to repeat."
            raise DocumentError(message, self._line(event), is_syntax=True)
        value, size = self._anchors[event.anchor]
        self._count += size
        self._repeated += size
        if self._repeated > MOST_REPEATED:
            message = f"Aliases repeat more than {MOST_REPEATED} values; use fewer."
            raise DocumentError(message, self._line(event))
        return copy.deepcopy(value)

    def _build_scalar(self, event: Any, loc: Location) -> Any:
        text: str = repair_text(event.value.translate(self._unmask))
        if not event.implicit[0]:
            return text
        value, *other = self._resolve(text)
        if other:
            self._readings[loc] = other[0]
        return value

    def _build_list(self, loc: Location) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            inner = (*loc, len(items))
            self._lines[inner] = self._line(event)
            items.append(self._build(event, inner))
        return items

    def _build_mapping(self, loc: Location) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise DocumentError("A key must be a text.", self._line(event), is_syntax=True)
            self._check(event, loc)
            key: str = repair_text(event.value.translate(self._unmask))
            if key == "<<" and event.implicit[0]:
                message = "YAML 1.2 has no merge key `<<`; write the fields out."
                raise DocumentError(message, self._line(event))
            inner = (*loc, key)
            _check_key(self._lines, inner, self._line(event))
            fields[key] = self._build(next(self._events), inner)
        return fields

    def _line(self, event: Any) -> int:
        line: int = event.start_mark.line
        return self._first_line + line


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """The tokens of a valid JSON text, with their lines."""
    line, position = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", position, found.start())
        position = found.start()
        yield found.group(), line


def _locate(tokens: Iterator[tuple[str, int]], loc: Location, lines: dict[Location, int]) -> str:
    """Store the lines of the next value and its parts; return the value's first token."""
    first, line = next(tokens)
    lines.setdefault(loc, line)
    if first == "[":
        index, end = 0, ""
        while end != "]" and _locate(tokens, (*loc, index), lines) != "]":
            end, index = next(tokens)[0], index + 1
    elif first == "{":
        while (key := next(tokens))[0] != "}":
            if key[0] != ",":
                inner = (*loc, json.loads(key[0]))
                _check_key(lines, inner, key[1])
                next(tokens)  # the colon
                _locate(tokens, inner, lines)
    return first
