"""Repeats a claim until there is work, or its client has waited long enough."""

import time
from collections.abc import Awaitable, Callable

from fastapi import Response

from api.http.idempotency import NOTHING_DONE
from api.http.request_context import Call
from services.external_work import claims
from services.external_work.inputs import ClaimBody


async def repeat_claim(
    call: Call, run: Callable[[], Awaitable[Response]], body: ClaimBody, seconds: float
) -> Response:
    """Run a claim until it finds work, for at most `seconds`."""
    ends_at = time.monotonic() + seconds
    while True:
        response = await run()
        left = ends_at - time.monotonic()
        if response.status_code != NOTHING_DONE or left <= 0:
            return response
        async with call.gateway.database.reading() as session:
            slugs = await claims.list_agents(session, call.caller, body)
        waiting = call.gateway.queue_waits.wait(call.caller.user_id, slugs, left)
        await call.run_while_connected(waiting)
        await call.require_current_credentials()
