"""The agent loop on LangGraph's library, checkpointed in Postgres after every node.

The library does not continue executions after a crash: this application looks for those that have
not ended and continues them, as its users have to.
"""

import asyncio
import sys
import uuid
from typing import Any

import uvloop
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from bench.peers.langgraph_graph import builder
from bench.peers.serving import serve_floods

CONNECTIONS = 20
"""As many as DBOS takes by default."""

THREADS = "SELECT DISTINCT thread_id FROM checkpoints"


async def main(database_url: str) -> None:
    """Continue executions that have not ended and serve floods until stdin ends."""
    options = {"autocommit": True, "row_factory": dict_row}
    async with AsyncConnectionPool(
        database_url, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs=options
    ) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        graph = builder.compile(checkpointer=saver)

        async def invoke(thread_id: str, state: Any) -> Any:
            config: Any = {"configurable": {"thread_id": thread_id}}
            # "sync": a checkpoint is stored before the next node begins.
            return await graph.ainvoke(state, config, durability="sync")

        async def run(prompt: str) -> object:
            return await invoke(
                str(uuid.uuid4()), {"messages": [{"role": "user", "content": prompt}]}
            )

        async def resume(thread_id: str) -> None:
            config: Any = {"configurable": {"thread_id": thread_id}}
            if (await graph.aget_state(config)).next:
                await invoke(thread_id, None)

        async def recover() -> None:
            async with pool.connection() as connection:
                rows = await (await connection.execute(THREADS)).fetchall()
            await asyncio.gather(*(resume(row["thread_id"]) for row in rows))

        await serve_floods(run, recover)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
