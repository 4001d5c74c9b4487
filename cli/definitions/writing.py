"""Writes tasks and agents to files that `cli.definitions.files` reads."""

import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from agent_library.writing import UnwritableAgentError, write_agent_file
from agent_library.yaml_text import write_yaml
from cli.definitions.files import AGENT, Definition, DefinitionError, parse_markdown

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
    if definition.kind is AGENT:
        try:
            return ".md", write_agent_file(definition.body)
        except UnwritableAgentError:
            return ".yaml", write_yaml(definition.body)
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
