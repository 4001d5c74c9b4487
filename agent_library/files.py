"""Reads agent files: Markdown with front matter, as coding agents write it.

Most of these files are YAML. In the others a value is the rest of its line, whatever it contains,
and the lines below that begin with no key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent_library.documents import DocumentError, Location, ParsedDocument, read_yaml
from domain.agents import files as agent_files
from domain.agents.files import UnreadableFieldError

LONGEST_FRONT_MATTER = 16_384
"""Characters (chosen: YAML takes some microseconds for each)."""

LITERAL = "format: perdure"
"""The first line of a file whose fields are those of the API, as they are."""

LONGEST_LITERAL = 65_536
"""Characters of the front matter of such a file: more than all fields except the prompt take."""

_KEY = r"""["']?(?P<key>[A-Za-z][\w-]*(?: [\w-]+)?)["']?[ \t]*:"""
_FIELD = re.compile(_KEY + r"(?:[ \t].*)?")
_INNER_FIELD = re.compile(r"[\s-]*" + _KEY + r"(?:\s|$)")
_OPENED, _CLOSED = "<example>", "</example>"


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The fields at the top of a Markdown file, the text below, and the line of the first field."""

    fields: str
    text: str
    first_line: int = 2


def split_front_matter(markdown: str) -> FrontMatter:
    """Split a file into its front matter and the text below it.

    Raises:
        DocumentError: the file does not begin with front matter, or it is not closed.
    """
    lines = markdown.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        message = "This file has no front matter: begin it with fields between two lines of ---."
        raise DocumentError(message, 1)
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() == "---"), None)
    if end is None:
        raise DocumentError("The front matter is not closed; add a line of --- below it.", 1)
    return FrontMatter("\n".join(lines[1:end]), "\n".join(lines[end + 1 :]).strip())


@dataclass(frozen=True, slots=True)
class AgentDocument:
    """An agent as a request body, not validated yet, and what the file says without meaning."""

    body: ParsedDocument
    ignored: tuple[str, ...]


def read_agent_file(front: FrontMatter) -> AgentDocument:
    """Read an agent from a file.

    Raises:
        DocumentError: the file can't be read without losing something that it restricts.
    """
    is_literal = front.fields.partition("\n")[0].rstrip() == LITERAL
    longest = LONGEST_LITERAL if is_literal else LONGEST_FRONT_MATTER
    if len(front.fields) > longest:
        raise DocumentError(f"The front matter has more than {longest} characters; shorten it.", 1)
    document, is_yaml = _read_fields(front)
    if is_literal:
        return _read_literally(document, front.text)
    try:
        found = agent_files.read(document.value, front.text, is_strict=is_yaml)
    except UnreadableFieldError as error:
        raise DocumentError(str(error), document.line_of((error.key,))) from error
    lines: dict[Location, int] = {(): 1}
    lines |= {(found.fields.get(key, key),): document.lines[key,] for key in document.value}
    return AgentDocument(ParsedDocument(found.body, lines), found.ignored)


def _read_literally(document: ParsedDocument, text: str) -> AgentDocument:
    """The fields without any translation; an unknown one is refused when they are validated."""
    fields = {key: value for key, value in document.value.items() if key != "format"}
    return AgentDocument(ParsedDocument({"system_prompt": text, **fields}, document.lines), ())


def _read_fields(front: FrontMatter) -> tuple[ParsedDocument, bool]:
    """The fields of an agent file, in which every word is a text, and whether it is YAML.

    Raises:
        DocumentError: a field appears twice, or there is none.
    """
    is_yaml = True
    try:
        found = read_yaml(front.fields, first_line=front.first_line, as_texts=True)
    except DocumentError as error:
        if not error.is_syntax:
            raise
        found, is_yaml = [_read_by_lines(front)], False
    if len(found) != 1 or not isinstance(found[0].value, dict):
        message = "The front matter must have fields, such as `name: reviewer`."
        raise DocumentError(message, front.first_line)
    return found[0], is_yaml


@dataclass(slots=True)
class _FieldLines:
    """A field of front matter that is not YAML: its key, its line, and all of its lines."""

    key: str
    line: int
    lines: list[str]

    @property
    def is_in_example(self) -> bool:
        """Whether the text so far has an example that is not closed."""
        text = "\n".join(self.lines)
        return text.count(_OPENED) > text.count(_CLOSED)

    def read(self) -> Any:
        """The value: as YAML if it is that by itself, else the text as it is written."""
        try:
            [document] = read_yaml("\n".join(self.lines), first_line=self.line, as_texts=True)
            return document.value[self.key]
        except DocumentError as error:
            if not error.is_syntax:
                raise
        except (ValueError, KeyError, TypeError):
            pass  # several documents, or no mapping: text that looks like it
        return self._read_text()

    def _read_text(self) -> str | list[str]:
        first = self.lines[0].partition(":")[2].strip()
        below = self.lines[1:]
        for number, line in enumerate(below, self.line + 1):
            found = _INNER_FIELD.match(line)
            if found and agent_files.restricts(found["key"]):
                message = f"{found['key']!r} is inside {self.key!r}; begin its line with it."
                raise DocumentError(message, number)
        items = [line.strip() for line in below if line.strip()]
        if not first and items and all(item.startswith("- ") for item in items):
            return [_unquote(item[2:].strip()) for item in items]
        first = "" if re.fullmatch(r"[|>][-+0-9]*", first) else _unquote(first)
        return "\n".join([first, *(line.strip() for line in below)]).strip()


def _read_by_lines(front: FrontMatter) -> ParsedDocument:
    """Read front matter that is not YAML, line by line."""
    values: dict[str, Any] = {}
    lines: dict[Location, int] = {(): front.first_line}
    for field in _split_fields(front):
        is_read = agent_files.field_of(field.key) or agent_files.restricts(field.key)
        if field.key in values and is_read:
            first = lines[field.key,]
            message = f"The key {field.key!r} appears twice, first in line {first}; keep one."
            raise DocumentError(message, field.line)
        if field.key not in values:
            values[field.key], lines[field.key,] = field.read(), field.line
    return ParsedDocument(values, lines)


def _split_fields(front: FrontMatter) -> Iterator[_FieldLines]:
    """The fields with their lines. In an example only fields that restrict end it."""
    field: _FieldLines | None = None
    for number, line in enumerate(front.fields.split("\n"), front.first_line):
        found = _FIELD.fullmatch(line)
        inside = field is not None and field.is_in_example
        if found and (not inside or agent_files.restricts(found["key"])):
            if field is not None:
                yield field
            field = _FieldLines(found["key"], number, [line])
        elif field is not None:
            field.lines.append(line)
        elif line.strip() and not line.startswith("#"):
            message = "The front matter must begin with a field, such as `name: reviewer`."
            raise DocumentError(message, number)
    if field is not None:
        yield field


def _unquote(text: str) -> str:
    """The text without quotes around it."""
    is_quoted = len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]
    return text[1:-1] if is_quoted else text
