"""Results of tools as clients get them."""

import json
from collections.abc import Sequence

from mcp.types import CallToolResult, ContentBlock, TextContent
from pydantic import BaseModel

from api.mcp.work import ExecutionOutcome


def render_result(result: BaseModel, extra: Sequence[ContentBlock] = ()) -> CallToolResult:
    """The result of a tool. Clients without structured content get the same JSON as text."""
    structured = result.model_dump(mode="json", by_alias=True)
    text = json.dumps(structured, ensure_ascii=False)
    return CallToolResult(content=[TextContent(text=text), *extra], structured_content=structured)


def render_failed_execution(result: ExecutionOutcome) -> CallToolResult:
    """The result of the task of a failed execution. Claude Code shows the model only the text."""
    text = (
        f"{result.error_message or 'The execution has failed.'} ({result.error_code}, execution "
        f"{result.execution_id}) {result.next_step}"
    )
    structured = result.model_dump(mode="json", by_alias=True)
    return CallToolResult(
        is_error=True, content=[TextContent(text=text)], structured_content=structured
    )
