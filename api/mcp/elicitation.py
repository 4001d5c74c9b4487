"""Asks the person at the client: an open input request becomes an elicitation of the call.

Clients of the revision 2026-07-28 get it as the result of the call (`input_required`), and repeat
the call with the response. The state that they return names the execution, so that a repeated call
starts nothing. It is sealed: another user or another call can't use it. Older clients get it as a
request (`elicitation/create`) in the stream of the call. Their response may come to any gateway, or
after the call has ended: the id of the request says to what it belongs.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, cast
from uuid import UUID

from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
    RequestParamsMeta,
)
from pydantic import BaseModel, ConfigDict, ValidationError

from api.http.request_context import Call
from api.mcp.context import ToolContext, caller_of, is_modern, request_page
from api.mcp.legacy import REPLY_KEY
from api.mcp.work import (
    PROGRESS_SECONDS,
    ExecutionOutcome,
    await_settled,
    read_execution,
    wait_limit,
)
from persistence.executions import input_requests
from persistence.tables.sessions import InputRequestRow
from services.executions import elicitations
from services.executions.elicitations import Elicitation, ElicitationResponse, Mode, make_key

MOST_ROUNDS = 9
"""Elicitations in one call; Claude Code repeats a call ten times (measured with 2.1.332)."""


class CallState(BaseModel):
    """What a client returns with the next round of a call."""

    model_config = ConfigDict(frozen=True)

    execution_id: UUID
    rounds: int = 0


async def finish_call(
    context: ToolContext, state: CallState
) -> ExecutionOutcome | InputRequiredResult:
    """Wait until the execution has ended, or needs a person; ask the person at the client.

    If there is no way to ask, or the person was asked often enough, the result has the link to the
    page of the request.
    """
    for asked in range(state.rounds + 1, MOST_ROUNDS + 1):
        await await_settled(context, state.execution_id)
        elicitation = await find_elicitation(context, state.execution_id)
        if elicitation is None:
            break
        if is_modern(context.request):
            following = state.model_copy(update={"rounds": asked})
            return InputRequiredResult(
                input_requests={elicitation.key: render_elicitation(elicitation)},
                request_state=following.model_dump_json(),
            )
        if not await _ask_in_stream(context, state.execution_id, elicitation):
            break
    return await read_execution(context, state.execution_id)


async def _ask_in_stream(
    context: ToolContext, execution_id: UUID, elicitation: Elicitation
) -> bool:
    """Ask a client with a handshake. Return whether to wait further."""
    if not context.request.session.can_send_request:
        return False
    asking = asyncio.create_task(_send(context, execution_id, elicitation))
    try:
        response = await _await_response(context, elicitation, asking)
    except (MCPError, ValidationError):
        return False  # the client can't ask its user
    finally:
        asking.cancel()
    if response is not None:
        return response.action != "cancel"
    row = await _read_request(context, elicitation)
    return not _is_shown(row, elicitation) and not _is_dismissed(row)


async def _send(context: ToolContext, execution_id: UUID, elicitation: Elicitation) -> ElicitResult:
    request = render_elicitation(elicitation)
    params = request.params
    params.meta = cast("RequestParamsMeta", {REPLY_KEY: f"{execution_id}/{elicitation.key}"})
    if isinstance(params, ElicitRequestURLParams):
        params.elicitation_id = elicitation.key
    related = ServerMessageMetadata(related_request_id=context.request.request_id)
    return await context.request.session.send_request(request, ElicitResult, metadata=related)


async def _await_response(
    context: ToolContext, elicitation: Elicitation, asking: asyncio.Task[ElicitResult]
) -> ElicitResult | None:
    """The response, which is applied; None if it came elsewhere, or the wait is over."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < wait_limit(context):
        await asyncio.wait({asking}, timeout=PROGRESS_SECONDS)
        if asking.done():
            return asking.result()
        if not _is_shown(await _read_request(context, elicitation), elicitation):
            return None
        await context.call.require_current_credentials()
        await context.report_progress(round(waited, 1), elicitation.message)
    return None


async def _read_request(context: ToolContext, elicitation: Elicitation) -> InputRequestRow | None:
    async with context.reading() as session:
        return await input_requests.find(session, elicitation.request_id)


def _is_shown(row: InputRequestRow | None, elicitation: Elicitation) -> bool:
    """Whether the request still waits for the response to this elicitation."""
    return row is not None and row.status == "open" and make_key(row) == elicitation.key


def _is_dismissed(row: InputRequestRow | None) -> bool:
    """Whether the person has decided nothing; an invalid answer is asked again."""
    return row is not None and row.status == "open" and row.answer_problem is None


async def continue_call(
    context: ToolContext, params: CallToolRequestParams
) -> ExecutionOutcome | InputRequiredResult:
    """Continue a call that the client repeats, with the responses of the person.

    A closed elicitation ends the call, and its request stays open.

    Raises:
        MCPError: the state is not one of ours.
    """
    state = _read_state(params.request_state)
    responses = params.input_responses or {}
    is_closed = False
    for key, response in responses.items():
        if isinstance(response, ElicitResult):
            is_closed |= response.action == "cancel"
            await apply_response(context.call, state.execution_id, key, response)
    if is_closed:
        return await read_execution(context, state.execution_id)
    return await finish_call(context, state)


def modes_of(context: ToolContext) -> frozenset[Mode]:
    """How the client can ask a person. A client that names no mode shows forms."""
    capabilities = context.client_capabilities
    declared = capabilities.elicitation if capabilities else None
    if declared is None:
        return frozenset()
    modes: set[Mode] = set()
    if declared.form is not None or declared.url is None:
        modes.add("form")
    if declared.url is not None:
        modes.add("url")
    return frozenset(modes)


async def find_elicitation(context: ToolContext, execution_id: UUID) -> Elicitation | None:
    """The request that the client should show now."""
    if not modes_of(context):
        return None
    async with context.reading() as session:
        return await elicitations.find_elicitation(
            session, execution_id, context.request_page, modes_of(context)
        )


def render_elicitation(elicitation: Elicitation) -> ElicitRequest:
    """An elicitation as clients get it."""
    if elicitation.schema is None:
        page = ElicitRequestURLParams(message=elicitation.message, url=elicitation.url)
        return ElicitRequest(params=page)
    form = ElicitRequestFormParams(
        message=elicitation.message, requested_schema=dict(elicitation.schema)
    )
    return ElicitRequest(params=form)


async def apply_response(call: Call, execution_id: UUID, key: str, response: ElicitResult) -> None:
    """Apply the response of a person at the client."""
    given = ElicitationResponse(key, response.action, response.content)
    async with call.services.transaction(caller_of(call)) as work:
        await elicitations.respond(work, execution_id, given, partial(request_page, call))


async def apply_reply(call: Call, reply_key: str, result: Mapping[str, Any]) -> None:
    """Apply the response of a client with a handshake, whichever gateway handles its call.

    A response to something else changes nothing.
    """
    execution_id, _, key = reply_key.partition("/")
    try:
        execution, response = UUID(execution_id), ElicitResult.model_validate(result)
    except ValueError:
        return
    await apply_response(call, execution, key, response)


def _read_state(given: str | None) -> CallState:
    try:
        return CallState.model_validate_json(given or "")
    except ValidationError as error:
        message = "The requestState is not one of Perdure's; call the tool again without it."
        raise MCPError(INVALID_PARAMS, message) from error
