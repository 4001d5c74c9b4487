"""The peers on Temporal: started directly by a client, as their users would."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client, WorkflowHandle

from bench.flood import flood
from bench.job import Job
from bench.systems.system import PROCESS_DEATH, PeerProcess, Recorded
from bench.world import World


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker runs and where it listens."""

    name: str
    module: str
    workflow: str
    task_queue: str


HANDWRITTEN = Program("hand-written", "bench.peers.handwritten_worker", "Agent", "handwritten")
PYDANTIC_AI = Program(
    "pydantic-ai", "bench.peers.pydantic_ai_worker", "PydanticAIAgent", "pydantic-ai"
)


class TemporalPeer(PeerProcess):
    """The workflow of a peer, the process of its worker, and a client in this process."""

    def __init__(self, program: Program, world: World, client: Client) -> None:
        """Use `handwritten` or `pydantic_ai`."""
        address = world.facts["temporal_address"]
        super().__init__(program.name, world, program.module, [address], ["temporal"])
        self.workflow = program.workflow
        self.client = client
        self._task_queue = program.task_queue

    async def start(self, job: Job, nonce: str) -> WorkflowHandle[object, str]:
        """Start an execution."""
        return await self.client.start_workflow(
            self.workflow,
            job.prompt(nonce),
            id=nonce,
            task_queue=self._task_queue,
            result_type=str,
        )

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""

        async def one(nonce: str) -> None:
            await (await self.start(job, nonce)).result()

        return await flood(one, nonces, in_flight=in_flight)

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """The client waits for the results of any worker."""
        await flood
        return 0

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count what was kept of it."""
        await self.run(job, [nonce], in_flight=1)
        return await history_of(self.client, nonce)


async def history_of(client: Client, workflow_id: str) -> Recorded:
    """The size of a workflow's history."""
    description = await client.get_workflow_handle(workflow_id).describe()
    info = description.raw_description.workflow_execution_info
    return Recorded(
        survives=PROCESS_DEATH,
        history_events=info.history_length,
        history_bytes=info.history_size_bytes,
    )


@asynccontextmanager
async def handwritten(world: World) -> AsyncIterator[TemporalPeer]:
    """The bare minimum on Temporal."""
    async with _running(HANDWRITTEN, world) as peer:
        yield peer


@asynccontextmanager
async def pydantic_ai(world: World) -> AsyncIterator[TemporalPeer]:
    """pydantic-ai on Temporal."""
    async with _running(PYDANTIC_AI, world) as peer:
        yield peer


@asynccontextmanager
async def _running(program: Program, world: World) -> AsyncIterator[TemporalPeer]:
    client = await Client.connect(world.facts["temporal_address"])
    async with TemporalPeer(program, world, client).running() as peer:
        yield peer
