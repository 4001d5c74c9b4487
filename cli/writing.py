"""Writes tasks and agents to files that `cli.definitions` reads."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from agent_library.documents import resolve_word
from cli.definitions import Definition, DefinitionError, parse_markdown

_LONGEST_FILE_NAME = 80
"""Characters of a resource's name in its file's name (chosen)."""


def write_files(definitions: Iterable[Definition]) -> Iterator[tuple[str, str]]:
    """A unique path and a text for each: Markdown, unless the prose would change by it."""
    taken: set[str] = set()
    for definition in definitions:
        kind = definition.kind
        suffix, text = _write_file(definition)
        stem = re.sub(r"[^\w.-]+", "-", definition.key.lower())[:_LONGEST_FILE_NAME].strip("-.")
        path = f"{kind.name}s/{stem or kind.name}"
        numbered = (f"{path}-{n}" for n in count(2))
        while path + suffix in taken:
            path = next(numbered)
        taken.add(path + suffix)
        yield path + suffix, text


def write_stream(definitions: Iterable[Definition]) -> str:
    """All of them as one YAML file."""
    return "---\n".join(write_yaml({"kind": d.kind.name, **d.body}) for d in definitions)


def _write_file(definition: Definition) -> tuple[str, str]:
    fields = dict(definition.body)
    prose = str(fields.pop(definition.kind.prose, ""))
    text = f"---\n{write_yaml(fields)}---\n\n{prose}\n"
    if "\r" not in prose and _survives_markdown(text, definition):
        return ".md", text
    return ".yaml", write_yaml(definition.body)


def _survives_markdown(text: str, definition: Definition) -> bool:
    """Whether reading the text returns the definition; spaces around a prompt are lost, say."""
    try:
        path = Path(f"{definition.kind.name}s") / "any.md"
        return parse_markdown(text, path).body == definition.body
    except DefinitionError:
        return False


def write_yaml(value: Mapping[str, Any]) -> str:
    """YAML with the fields in their order, and texts of several lines as blocks."""
    text: str = yaml.dump(
        dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """A block for several lines; quotes where YAML would read something else."""
    style = "|" if "\n" in text else None
    if any(end in text for end in "\r\x85\u2028\u2029") or resolve_word(text)[0] != text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_float(dumper: _Dumper, number: float) -> yaml.ScalarNode:
    """The number as JSON; PyYAML regards `1e+16` as a text, which needs no quotes."""
    text = json.dumps(number)
    kind = "float" if "." in text else "str"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", text)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_float)
