"""The agent loop on DBOS: one step per model and tool call, checkpointed in Postgres."""

import asyncio
import sys
from typing import Any

from anthropic import AsyncAnthropic
from dbos import DBOS, DBOSConfig

from bench.peers import agent
from bench.peers.serving import serve_floods

_clients: list[AsyncAnthropic] = []
"""DBOS runs workflows it recovers on a loop of its own; a client belongs to the process."""


@DBOS.step()
async def call_model(messages: list[Any]) -> list[dict[str, Any]]:
    """One model call."""
    return await agent.call(_clients[0], messages)


@DBOS.step()
async def run_tool(name: str) -> str:
    """One tool call."""
    return await agent.run_tool(name)


@DBOS.workflow()
async def run_agent(prompt: str) -> str:
    """From the prompt to the final answer."""
    return await agent.run(prompt, call_model, run_tool)


async def main(database_url: str) -> None:
    """Recover what was left and serve floods until stdin ends."""
    _clients.append(agent.new_client())
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": database_url,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    await serve_floods(run_agent)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
