"""The agent loop on Restate: a recorded step for each model and tool call.

Hypercorn serves it, with the limits that Restate's documentation gives for production.
"""

import sys
from functools import partial
from typing import Any

import hypercorn
import hypercorn.asyncio
import restate
import uvloop

from bench.peers import agent
from bench.peers.serving import announce_ready, wait_until_stopped

UNLIMITED = 2**31 - 1

service = restate.Service("Agent")


async def main(port: str) -> None:
    """Serve executions until SIGTERM."""
    client = agent.new_client()

    async def run(context: restate.Context, prompt: str) -> str:
        """From the prompt to the final answer."""

        async def call_model(messages: list[Any]) -> list[dict[str, Any]]:
            step = partial(agent.call, client, messages)
            content: list[dict[str, Any]] = await context.run_typed("call_model", step)
            return content

        async def run_tool(name: str) -> str:
            output: str = await context.run_typed("run_tool", partial(agent.run_tool, name))
            return output

        return await agent.run(prompt, call_model, run_tool)

    service.handler()(run)
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = UNLIMITED
    config.keep_alive_max_requests = UNLIMITED
    config.keep_alive_timeout = UNLIMITED
    config.loglevel = "WARNING"
    app = restate.app([service])
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=_serve_until_stopped)


async def _serve_until_stopped() -> None:
    """Hypercorn calls this when it accepts connections."""
    announce_ready()
    await wait_until_stopped()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
