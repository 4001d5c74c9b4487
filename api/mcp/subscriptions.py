"""Open `subscriptions/listen` streams: one per client, for as long as it may use the gateway."""

import asyncio
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY, ListenHandler, SubscriptionBus
from mcp.types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from api.http import metrics
from api.http.request_context import Call
from api.mcp.context import call_of

MOST_STREAMS = 100_000
"""In one process: the limits per user and per address are lower (chosen)."""

CHECK_SECONDS = 300.0
"""Interval of checks of the credentials, besides those after a change (chosen)."""


class ListenStreams:
    """The streams of one process. The server's lists change with releases only."""

    def __init__(self, bus: SubscriptionBus) -> None:
        """Sends the events of `bus`."""
        self._handler = ListenHandler(bus, max_subscriptions=MOST_STREAMS)

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Keep a stream open until the client closes it or its credentials end."""
        serving = asyncio.create_task(self._handler(ctx, params))
        ending = asyncio.create_task(_wait_until_refused(call_of(ctx)))
        try:
            with metrics.STREAMS.track_inprogress():
                await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            return SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: ctx.request_id})
        finally:
            for task in (serving, ending):
                task.cancel()
            await asyncio.gather(serving, ending, return_exceptions=True)


async def _wait_until_refused(call: Call) -> None:
    """Return when the credentials of an open stream are no longer valid."""
    with call.gateway.watcher.following_rights(call.principal.user_id) as watched:
        while True:
            await watched.wait_for_change(max(0, min(CHECK_SECONDS, call.principal.seconds_left)))
            if not await call.is_still_allowed():
                return
