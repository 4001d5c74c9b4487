"""The transcript of an execution as Markdown."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from domain.model.json_values import make_encodable
from persistence.tables.sessions import MessageRow

LONGEST_BLOCK = 10_000
"""Characters of one text, input or output in a transcript; the API has all (chosen)."""


def write_transcript(title: str, rows: Sequence[MessageRow], *, is_complete: bool) -> str:
    """The messages, oldest first; not complete if there are more."""
    parts = [f"# {title}"]
    for row in rows:
        parts.append(f"## {row.role}")
        parts += _write_blocks(make_encodable(json.loads(row.content)))
    if not is_complete:
        parts.append("More messages follow; read them with the API.")
    return "\n\n".join(parts) + "\n"


def _write_blocks(content: Any) -> Iterator[str]:
    for block in content if isinstance(content, list) else [{"type": "text", "text": content}]:
        match block:
            case {"type": "text", "text": str(text)}:
                yield _shorten(text)
            case {"type": "tool_use", "name": name, "input": given}:
                yield f"Tool call `{name}`:\n\n{_fence(json.dumps(given, ensure_ascii=False))}"
            case {"type": "tool_result", "content": str(output)}:
                yield f"Result:\n\n{_fence(output)}"
            case {"type": "tool_result", "content": list(blocks)}:
                texts = [b["text"] for b in blocks if isinstance(b, dict) and "text" in b]
                yield f"Result:\n\n{_fence(chr(10).join(map(str, texts)))}"
            case {"type": "thinking" | "redacted_thinking"}:
                pass
            case {"type": kind}:
                yield f"({kind})"


def _fence(text: str) -> str:
    """A code block with a fence that the text does not contain."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{_shorten(text)}\n{fence}"


def _shorten(text: str) -> str:
    left_out = len(text) - LONGEST_BLOCK
    return text if left_out <= 0 else f"{text[:LONGEST_BLOCK]}\n… {left_out} characters left out"
