"""The limit: an asyncio loop over the SDK. Nothing is durable, nothing is recorded."""

from typing import Any

import uvloop

from bench.peers import agent
from bench.peers.serving import serve_floods


async def main() -> None:
    """Serve floods until stdin ends."""
    client = agent.new_client()

    async def run(prompt: str) -> str:
        messages: list[Any] = [{"role": "user", "content": prompt}]
        while True:
            content = await agent.call(client, messages)
            messages.append({"role": "assistant", "content": content})
            calls = agent.tool_calls(content)
            if not calls:
                return agent.text_of(content)
            results = [agent.result(call, await agent.list_files()) for call in calls]
            messages.append({"role": "user", "content": results})

    await serve_floods(run)


if __name__ == "__main__":
    uvloop.run(main())
