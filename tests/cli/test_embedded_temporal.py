"""The embedded Temporal server: whether it has our search attributes from its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from cli.stack import temporal
from cli.stack.addresses import free_port
from cli.stack.process import RunningPart
from cli.stack.temporal import CACHE_ATTRIBUTES, Temporal
from contracts import names
from domain.executions.dispatch import WorkflowFacts
from runtime.dispatch import search_attributes

FACTS = WorkflowFacts(user_id=uuid4(), task_id=None, title="a task", trigger_type="api", tags=["a"])


@pytest.fixture
def server(tmp_path: Path) -> Temporal:
    """A server that has never run."""
    return Temporal(
        database=tmp_path / "temporal.db",
        port=free_port(),
        ui_port=free_port(),
        http_port=free_port(),
    )


@asynccontextmanager
async def running(server: Temporal, *, caches: bool) -> AsyncIterator[Client]:
    """Run the server as `perdure up` does. `caches`: whether it must cache its attributes."""
    part = temporal.part(server, server.database.with_suffix(".log"), caches_attributes=True)
    assert (CACHE_ATTRIBUTES in part.command) == caches
    process = await RunningPart.start(part)
    yield await Client.connect(server.address)
    await process.stop()


async def start_workflow(client: Client) -> None:
    """Start a workflow with all search attributes; no worker runs it."""
    await client.start_workflow(
        names.TASK_EXECUTION,
        id=str(uuid4()),
        task_queue=names.EXECUTIONS_QUEUE,
        search_attributes=search_attributes(FACTS),
    )


async def test_a_new_server_has_the_search_attributes_from_its_start(server: Temporal) -> None:
    async with running(server, caches=True) as client:
        await start_workflow(client)

    # `perdure up` was killed before a worker registered those that a newer version may have.
    async with running(server, caches=False) as client:
        await start_workflow(client)

    server.record_attributes()
    async with running(server, caches=True) as client:
        await start_workflow(client)


def test_another_namespace_has_no_search_attributes_yet(server: Temporal) -> None:
    server.database.touch()
    server.record_attributes()

    assert server.has_attributes
    assert not replace(server, namespace="other").has_attributes


def test_an_earlier_version_had_fewer_search_attributes(
    server: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.database.touch()
    server.record_attributes()

    monkeypatch.setattr(temporal, "SEARCH_ATTRIBUTES", {**names.SEARCH_ATTRIBUTES, "New": "Bool"})

    assert not server.has_attributes
