"""Starting a worker in this process: our own composition, with a scripted model behind the SDK."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

import worker
from claude.adapter import ClaudeModel
from claude.scripted import ScriptedModelServer
from composition import compose_services
from domain.ids import new_id
from persistence.db.database import Database
from persistence.identity import users
from runtime.dispatch import Dispatcher
from runtime.outbound import Outbound
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.temporal import connect, register_search_attributes
from tests.engine.driver import Engine
from tests.waiting import eventually

START_SECONDS = 600.0
"""Of a worker that was started at a low priority on a busy machine."""


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What a worker uses: a database, a Temporal, a namespace of its own, a home."""

    database_url: str
    temporal_address: str
    namespace: str
    home: Path

    def settings(self, **changed: Any) -> Settings:
        """Settings of a worker there."""
        return Settings.model_validate(
            {
                "database_url": self.database_url,
                "temporal_address": self.temporal_address,
                "temporal_namespace": self.namespace,
                "home": self.home,
                "drain_seconds": 2,
                "public_url": "https://perdure.example.com",
                **changed,
            }
        )


async def make_place(database_url: str, temporal_address: str, home: Path) -> WorkerPlace:
    """A place with a namespace of its own: the names of our task queues are fixed."""
    place = WorkerPlace(database_url, temporal_address, f"engine-{new_id().hex}", home)
    client = await connect(Settings(temporal_address=temporal_address))
    retention = Duration()
    retention.FromTimedelta(timedelta(days=1))
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=place.namespace, workflow_execution_retention_period=retention
        )
    )
    await register_search_attributes(await connect(place.settings()))
    return place


@asynccontextmanager
async def open_driver(place: WorkerPlace, scripted: ScriptedModelServer) -> AsyncIterator[Engine]:
    """A driver for executions there; a worker (`run_worker`) is needed to run them."""
    client = await connect(place.settings())
    database = Database.connect(place.database_url)
    async with database.transaction() as session:
        user_id = (await users.find_or_create(session, "alice", "user")).id
    schemas = IsolatedEvaluator(is_metered=False)
    services = compose_services(
        place.settings(), database, client, Outbound(()), schemas, remembered_seconds=0
    )
    dispatcher = Dispatcher(client)
    yield Engine(database, client, dispatcher, services, scripted, user_id, place.home)
    await schemas.close()
    await database.close()


@asynccontextmanager
async def run_worker(
    place: WorkerPlace, scripted: ScriptedModelServer, **changed: Any
) -> AsyncIterator[Client]:
    """Run a worker there while the block runs; it drains when the block ends."""
    settings = place.settings(**changed)
    async with AsyncExitStack() as stack:
        model = ClaudeModel.create(base_url=scripted.base_url, api_key="scripted")
        stack.push_async_callback(model.close)
        client = await connect(settings)
        await stack.enter_async_context(worker.working(settings, client=client, model=model))
        yield client


@asynccontextmanager
async def worker_process(
    place: WorkerPlace,
    scripted: ScriptedModelServer,
    *,
    log: Path,
    more: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker as it is deployed, its log in a file; at the end it is killed if it runs."""
    ready = place.home / "ready"
    environment = {
        "PATH": os.environ["PATH"],
        "PERDURE_DATABASE_URL": place.database_url,
        "PERDURE_TEMPORAL_ADDRESS": place.temporal_address,
        "PERDURE_TEMPORAL_NAMESPACE": place.namespace,
        "PERDURE_HOME": str(place.home),
        "PERDURE_READY_FILE": str(ready),
        "PERDURE_LOG_LEVEL": "debug",
        "ANTHROPIC_BASE_URL": scripted.base_url,
        "ANTHROPIC_API_KEY": "scripted",
        **(more or {}),
    }
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", env=environment, stdout=errors, stderr=errors
        )

    async def is_ready() -> bool:
        assert process.returncode is None
        return ready.exists()

    try:
        await eventually(is_ready, within=START_SECONDS, what="a worker")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
