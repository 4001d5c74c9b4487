"""Input requests, from rows to what clients read."""

import json

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http.request_context import Call
from api.http.responses import answer
from api.http.schemas import from_row
from api.input_requests.schemas import AskedToolCall, InputRequestRead
from persistence.tables.sessions import InputRequestRow


def render_input_request(call: Call, row: InputRequestRow) -> InputRequestRead:
    """Return an input request as this caller sees it, with the tool call it is about."""
    return from_row(
        InputRequestRead,
        row,
        answer_schema=row.schema,
        tool_call=_render_tool_call(row),
        links=links.input_request(row, is_own=call.owns(row.user_id)),
    )


async def respond_input_request(call: Call, _: AsyncSession, row: InputRequestRow) -> Response:
    """Respond with an input request."""
    return answer(render_input_request(call, row))


def _render_tool_call(row: InputRequestRow) -> AskedToolCall | None:
    if row.tool_name is None or row.tool_input is None or row.input_sha256 is None:
        return None
    return AskedToolCall(
        name=row.tool_name,
        input=json.loads(row.tool_input),
        input_sha256=row.input_sha256.hex(),
        input_schema=row.tool_input_schema,
    )
