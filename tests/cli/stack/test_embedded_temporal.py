"""The embedded Temporal server: its search attributes, its indexes, and where its file may be."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from cli.stack import temporal
from cli.stack.addresses import free_port
from cli.stack.process import PartFailedError, RunningPart
from cli.stack.temporal import CACHE_ATTRIBUTES, KEPT_INDEXES, Temporal
from contracts import names
from domain.executions.dispatch import WorkflowFacts
from runtime.dispatch import search_attributes
from tests.waiting import eventually

FACTS = WorkflowFacts(user_id=uuid4(), task_id=None, title="a task", trigger_type="api", tags=["a"])

KEYWORD = re.compile(r"Keyword\d+")


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


async def test_lists_by_our_search_attributes_use_the_indexes_that_are_kept(
    server: Temporal,
) -> None:
    async with running(server, caches=True) as client:
        await start_workflow(client)

        async def is_listed() -> bool:
            found = client.list_workflows("PerdureStatus = 'pending'")
            return len([flow async for flow in found]) == 1

        await eventually(is_listed, what="the workflow in the list")

    with closing(sqlite3.connect(server.database)) as connection:
        (stored,) = connection.execute(
            "SELECT search_attributes FROM executions_visibility WHERE workflow_type_name = ?",
            [names.TASK_EXECUTION],
        ).fetchone()
        used = {f"by_keyword_{name[-2:]}" for name in json.loads(stored) if KEYWORD.match(name)}
        indexes = {
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
                " AND tbl_name = 'executions_visibility'"
            )
        }
    assert indexes == KEPT_INDEXES
    assert used <= KEPT_INDEXES
    assert len(used) == 4  # no task and no agent


UNKNOWN_STORE = """
CREATE TABLE executions_visibility (run_id TEXT PRIMARY KEY, status INT, added TEXT, key TEXT);
CREATE INDEX by_status ON executions_visibility (status);
CREATE INDEX by_added ON executions_visibility (added);
CREATE UNIQUE INDEX one_key ON executions_visibility (key);
"""
"""As a later version of the server may create it."""


def list_indexes(connection: sqlite3.Connection) -> set[str]:
    """The indexes that are not of a primary key."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE %INDEX%'")
    return {name for (name,) in found}


def test_only_indexes_that_keep_no_rows_unique_are_dropped(server: Temporal) -> None:
    log = server.database.with_suffix(".log")
    with closing(sqlite3.connect(server.database)) as connection:
        connection.executescript(UNKNOWN_STORE)

        server.drop_indexes(log)

        assert list_indexes(connection) == {"by_status", "one_key"}
    assert not log.exists()


def test_the_log_says_that_a_locked_database_keeps_its_indexes(
    server: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal, "BUSY_SECONDS", 0.0)
    log = server.database.with_suffix(".log")
    with closing(sqlite3.connect(server.database)) as connection:
        connection.executescript(UNKNOWN_STORE)
        connection.execute("BEGIN IMMEDIATE")

        server.drop_indexes(log)

        assert list_indexes(connection) == {"by_status", "by_added", "one_key"}
    assert "indexes stay until the next start: database is locked" in log.read_text()


@pytest.mark.parametrize("name", ["50%25", "a#b", "what?"])
def test_a_path_that_the_server_would_not_open_is_refused(server: Temporal, name: str) -> None:
    odd = replace(server, database=server.database.with_name(name) / "temporal.db")

    with pytest.raises(PartFailedError, match="Choose another PERDURE_HOME"):
        temporal.part(odd, server.database.with_suffix(".log"))
