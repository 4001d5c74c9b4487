"""The worker of the hand-written workflow, with the SDK's default settings and its sandbox."""

import sys
from typing import Any

import uvloop
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from bench.peers import agent
from bench.peers.handwritten_workflow import Agent
from bench.peers.serving import announce_ready, wait_until_stopped

TASK_QUEUE = "handwritten"


async def main(temporal_address: str) -> None:
    """Work until SIGTERM."""
    anthropic = agent.new_client()

    @activity.defn
    async def call_model(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await agent.call(anthropic, messages)

    @activity.defn
    async def run_tool(name: str) -> str:
        return await agent.run_tool(name)

    client = await Client.connect(temporal_address)
    async with Worker(
        client, task_queue=TASK_QUEUE, workflows=[Agent], activities=[call_model, run_tool]
    ):
        announce_ready()
        await wait_until_stopped()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
