"""Results of tools as clients get them. Long ones are shortened, and say how to read the rest."""

import json
from collections.abc import Sequence
from typing import Any

from mcp.types import CallToolResult, ContentBlock, TextContent

from api.mcp.registry import MOST_CHARACTERS, ToolResult
from api.mcp.work import ExecutionOutcome

SHORTENED = (
    "This result was too long: texts that end with `characters left out` and long lists are "
    "shortened. Ask for less, read an execution as the resource perdure://executions/{id}, or give "
    "the user the id: the API has the whole."
)

_LIMITS = ((20_000, 1_000), (5_000, 300), (1_000, 100), (200, 20))
"""The most characters of a text, and the most entries of a list or an object: the first ones with
which a result fits."""

PART_CHARACTERS = MOST_CHARACTERS - 10_000
"""Of a part of a text as JSON; the rest is for the other fields."""

Json = dict[str, Any]


def cut_to_fit(text: str) -> str:
    """The beginning of a text that fits into a result, where a control character takes six."""
    while len(json.dumps(text, ensure_ascii=False)) > PART_CHARACTERS:
        text = text[: len(text) // 2]
    return text


def render_result(result: ToolResult, extra: Sequence[ContentBlock] = ()) -> CallToolResult:
    """The result of a tool. Clients without structured content get the same JSON as text."""
    structured, text = _fit(result)
    return CallToolResult(content=[TextContent(text=text), *extra], structured_content=structured)


def render_failed_execution(result: ExecutionOutcome) -> CallToolResult:
    """The result of the task of a failed execution. Claude Code shows the model only the text."""
    structured, _ = _fit(result)
    text = (
        f"{result.error_message or 'The execution has failed.'} ({result.error_code}, execution "
        f"{result.execution_id}) {result.next_step}"
    )
    return CallToolResult(
        is_error=True, content=[TextContent(text=text)], structured_content=structured
    )


def _fit(result: ToolResult) -> tuple[Json, str]:
    """The result as JSON and its text, with at most `MOST_CHARACTERS`."""
    whole = result.model_dump(mode="json", by_alias=True)
    structured, text = whole, _write(whole)
    for longest, most in _LIMITS:
        if len(text) <= MOST_CHARACTERS:
            break
        structured = _shorten(whole, longest, most)
        structured["next_step"] = f"{whole['next_step']} {SHORTENED}"
        text = _write(structured)
    return structured, text


def _write(structured: Json) -> str:
    return json.dumps(structured, ensure_ascii=False)


def _shorten(value: Any, longest: int, most: int) -> Any:
    """The value with the beginnings of its texts and lists, which fits its schema as before."""
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]}… {len(value) - longest} characters left out"
    if isinstance(value, list):
        return [_shorten(item, longest, most) for item in value[:most]]
    if isinstance(value, dict):
        kept = list(value.items())[: max(most, _MOST_FIELDS)]
        return {name: _shorten(item, longest, most) for name, item in kept}
    return value


_MOST_FIELDS = 50
"""More than any model of a result has: its own fields are always kept."""
