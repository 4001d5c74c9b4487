"""What an agent's file means here: the names and tools that coding agents use, in our words."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from domain.agents import MODEL_ON_IMPORT, slug_of
from domain.permissions import KNOWN_TOOLS, problems, rule_on_import

_TAKEN = ("description", "executor", "capabilities", "tags")
"""Fields that are called the same in a file and here."""

_READ_ELSEWHERE = frozenset({"name", "agent_id", "tools", "allowed_tools", "model"})

_TOOL = re.compile(r"[^\s,(][^,(]*(?:\([^)]*\))?")


@dataclass(frozen=True, slots=True)
class AgentFile:
    """The agent as a request body would write it, and what was left out of the file."""

    body: Mapping[str, Any]
    ignored: tuple[str, ...]


def read(metadata: Mapping[str, Any], text: str) -> AgentFile:
    """The agent that a file's front matter and text describe; its body is still to be validated.

    Without a list of tools it has every built-in one, as such files mean it.
    """
    ignored = sorted(metadata.keys() - _READ_ELSEWHERE - set(_TAKEN))
    body = {field: metadata[field] for field in _TAKEN if field in metadata}
    body |= {field: _list(body[field]) for field in ("capabilities", "tags") if field in body}
    name = metadata.get("name")
    slug = metadata.get("agent_id", name)
    listed = metadata.get("tools", metadata.get("allowed_tools"))
    tools = sorted(KNOWN_TOOLS) if listed is None else _list(listed)
    if isinstance(tools, list):
        ours = dict.fromkeys(rule_on_import(tool) for tool in tools if isinstance(tool, str))
        unknown = {rule for rule in ours if problems([rule])}
        ignored += [f"tools: {rule}" for rule in sorted(unknown)]
        tools = [rule for rule in ours if rule not in unknown]
    return AgentFile(
        {
            **body,
            "agent_id": slug_of(slug) if isinstance(slug, str) else slug,
            "name": name,
            "system_prompt": text,
            "model": _model(metadata.get("model")),
            "allowed_tools": tools,
        },
        tuple(ignored),
    )


def _model(name: Any) -> Any:
    return MODEL_ON_IMPORT.get(name, name) if isinstance(name, str) else name


def _list(value: Any) -> Any:
    """A list, which may be written in one line with commas."""
    return list(_split(value)) if isinstance(value, str) else value


def _split(line: str) -> Iterator[str]:
    return (found.strip() for found in _TOOL.findall(line))
