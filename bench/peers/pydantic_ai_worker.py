"""The worker of the pydantic-ai agent, with default settings."""

import sys

import uvloop
from pydantic_ai.durable_exec.temporal import PydanticAIPlugin
from temporalio.client import Client
from temporalio.worker import Worker

from bench.peers.pydantic_ai_agent import PydanticAIAgent
from bench.peers.serving import announce_ready, wait_until_stopped

TASK_QUEUE = "pydantic-ai"


async def main(temporal_address: str) -> None:
    """Work until SIGTERM."""
    client = await Client.connect(temporal_address, plugins=[PydanticAIPlugin()])
    async with Worker(client, task_queue=TASK_QUEUE, workflows=[PydanticAIAgent]):
        announce_ready()
        await wait_until_stopped()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
