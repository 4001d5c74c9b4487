"""Writes agents as files that are read back unchanged."""

from collections.abc import Mapping
from typing import Any

from agent_library.documents import DocumentError
from agent_library.files import LITERAL, read_agent_file, split_front_matter
from agent_library.yaml_text import write_yaml

PROMPT = "system_prompt"


class UnwritableAgentError(ValueError):
    """No file would be read back as this agent."""


def write_agent_file(fields: Mapping[str, Any]) -> str:
    """The agent with these fields of the API as Markdown; empty fields are left out.

    Coding agents' files translate names of tools and models, and strip the text below the front
    matter. An agent that would change by that is written with the line `format: perdure`.

    Raises:
        UnwritableAgentError: it would change by any format.
    """
    body = _without_empty(fields)
    prompt = body.pop(PROMPT, "")
    front = write_yaml({**body, "allowed_tools": body.get("allowed_tools", [])})
    for text in (
        f"---\n{front}---\n\n{prompt}\n",
        f"---\n{LITERAL}\n{front}---\n\n{prompt}\n",
        f"---\n{LITERAL}\n{front}{write_yaml({PROMPT: prompt})}---\n",
    ):
        if _read(text) == {**body, PROMPT: prompt}:
            return text
    raise UnwritableAgentError(
        "The agent can't be written to a file: its prompt has carriage returns, or begins or ends "
        "with white space, and its fields are long. Remove these characters, or use the API."
    )


def _read(text: str) -> Mapping[str, Any] | None:
    try:
        return _without_empty(read_agent_file(split_front_matter(text)).body.value)
    except DocumentError:
        return None


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "", [], ())}
