"""The limit: an asyncio loop over the SDK. Nothing is durable, nothing is recorded."""

from functools import partial

import uvloop

from bench.peers import agent
from bench.peers.serving import serve_floods


async def main() -> None:
    """Serve floods until stdin ends."""
    call_model = partial(agent.call, agent.new_client())
    await serve_floods(partial(agent.run, call_model=call_model, run_tool=agent.run_tool))


if __name__ == "__main__":
    uvloop.run(main())
