"""Maps agent files to our fields, with the tool and model names that coding agents use."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from domain.agents import MODEL_ON_IMPORT, slug_of
from domain.permissions import KNOWN_TOOLS, rule_from_agent_file
from domain.rule_problems import problems

_TAKEN = ("description", "executor", "capabilities", "tags")
"""Fields with the same name in a file and in our API."""

_READ_ELSEWHERE = frozenset({"name", "agent_id", "tools", "allowed_tools", "model"})

_TOOL = re.compile(r"[^\s,(][^,(]*(?:\([^)]*\))?")


@dataclass(frozen=True, slots=True)
class AgentFile:
    """The agent as a request body, and the fields of the file that were ignored."""

    body: Mapping[str, Any]
    ignored: tuple[str, ...]


def read(metadata: Mapping[str, Any], text: str) -> AgentFile:
    """Read an agent from a file's front matter and text. The body is not validated yet.

    Without a list of tools the agent has all built-in ones, as is usual for such files.
    """
    ignored = sorted(metadata.keys() - _READ_ELSEWHERE - set(_TAKEN))
    body = {field: metadata[field] for field in _TAKEN if field in metadata}
    body |= {field: _list(body[field]) for field in ("capabilities", "tags") if field in body}
    name = metadata.get("name")
    slug = metadata.get("agent_id", name)
    listed = metadata.get("tools", metadata.get("allowed_tools"))
    tools = sorted(KNOWN_TOOLS) if listed is None else _list(listed)
    if isinstance(tools, list):
        ours = dict.fromkeys(rule_from_agent_file(tool) for tool in tools if isinstance(tool, str))
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
    """A list, or a text with commas as a list."""
    return list(_split(value)) if isinstance(value, str) else value


def _split(line: str) -> Iterator[str]:
    return (found.strip() for found in _TOOL.findall(line))
