"""Results of MCP tools as text for the model, within the limits of other tools."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp_types as types

from domain.tool_calls import ToolOutcome
from mcp_client.connections import CallResult
from tools.limits import ToolLimits
from tools.output import Spool, printable, show

INPUT_WANTED = (
    "The server asks for input before it answers, and no person can be asked for this tool. It may "
    "have done a part of the work."
)


def outcome_of(result: CallResult, private: Path, limits: ToolLimits) -> ToolOutcome:
    """Return what the model reads; a longer text is also a file for the store. Blocking."""
    if isinstance(result, types.InputRequiredResult):
        return ToolOutcome(INPUT_WANTED, is_error=True)
    text = printable("\n".join(_texts(result)) or "(no output)")
    return _within_limits(text, private, limits, is_error=result.is_error)


def _within_limits(text: str, private: Path, limits: ToolLimits, *, is_error: bool) -> ToolOutcome:
    encoded = text.encode()
    if len(encoded) <= limits.preview_bytes:
        return ToolOutcome(text, is_error=is_error)
    with Spool(private, limits.output_bytes) as spool:
        spool.write(encoded)
        shown = show(spool, limits.preview_bytes)
        return ToolOutcome(shown.text, is_error=is_error, whole_output=spool.save(is_text=True))


def _texts(result: types.CallToolResult) -> Iterator[str]:
    """Yield the texts of a result. Structured content repeats them, unless there are none."""
    texts = [text for block in result.content if (text := _text(block)) is not None]
    if result.structured_content is not None and not texts:
        yield json.dumps(result.structured_content, ensure_ascii=False)
    yield from texts


def _text(block: types.ContentBlock) -> str | None:
    match block:
        case types.TextContent():
            return block.text
        case types.ResourceLink():
            return _joined("Resource link", block.name, block.uri, block.description)
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return f"[Resource {resource.uri}]\n{resource.text}"
        case types.EmbeddedResource(resource=resource):
            return f"[Resource {resource.uri}: binary content, not shown]"
        case types.ImageContent() | types.AudioContent():
            return f"[{block.mime_type}: {len(block.data) * 3 // 4:,} bytes, not shown]"


def _joined(kind: str, name: str, uri: Any, description: str | None) -> str:
    return f"[{kind}: {name}] {uri}" + (f" ({description})" if description else "")
