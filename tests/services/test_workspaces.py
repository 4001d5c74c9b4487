"""Snapshots of sessions as rows, and the hosts of workers."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from domain.errors import FencedOutError, WorkspaceElsewhereError
from domain.executions.steps import Step
from domain.files.blobs import StoredBlob
from domain.ids import new_id
from domain.workspaces.snapshots import NOT_SAVED, WorkspaceSnapshot, WorkspaceVersion
from persistence.blobs import registry
from persistence.db.database import Database
from persistence.executions import queries
from persistence.executions.step_log import ExecutionRecord
from persistence.sessions import workspaces
from persistence.sessions.workspaces import WorkspaceOwner
from persistence.tables.sessions import SessionRow
from persistence.tables.workspaces import WorkspaceBlobRow, WorkspaceSnapshotRow
from services import hosts, storage
from services.hosts import WorkerHosts
from tests.persistence.opened import HOST, Opened, open_execution

OTHER = UUID(int=2)
KB = 1000


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.connect(database_url)
    yield database
    await database.close()


async def snapshot(database: Database, *names: str, turn: int = 1) -> WorkspaceSnapshot:
    """A snapshot of 1 kB for each name, whose files count as stored."""
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in ("+".join(names), *names)]
    blobs = [StoredBlob(sha256, KB) for sha256 in hashes]
    await registry.register(database, {blob.sha256: blob.size_bytes for blob in blobs})
    return WorkspaceSnapshot(hashes[0], blobs, len(names), KB * len(names), turn)


async def list_stored(database: Database, session_id: UUID | None) -> tuple[Sequence[str], int]:
    """The hashes of the snapshots, and how many files their session holds."""
    async with database.reading() as session:
        rows = await session.scalars(
            select(WorkspaceSnapshotRow.sha256)
            .where(WorkspaceSnapshotRow.session_id == session_id)
            .order_by(WorkspaceSnapshotRow.id)
        )
        blobs = await session.scalars(
            select(WorkspaceBlobRow.sha256).where(WorkspaceBlobRow.session_id == session_id)
        )
        return rows.all(), len(blobs.all())


def record_on(
    execution: Opened, host: UUID, segment: int, *, from_host_id: UUID | None = None
) -> ExecutionRecord:
    return ExecutionRecord(
        execution.database,
        execution.id,
        execution.identity(segment),
        host_id=host,
        from_host_id=from_host_id,
    )


async def test_a_workspace_moves_with_its_newest_snapshot(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    first = record_on(execution, HOST, 1)
    assert (await first.begin()).workspace == WorkspaceVersion(0, None)
    saved = await snapshot(database, "a", "b")
    await first.write(Step(workspace=saved))
    with pytest.raises(WorkspaceElsewhereError) as elsewhere:
        await record_on(execution, OTHER, 2).begin()
    assert elsewhere.value.host_id == HOST
    moved = await record_on(execution, OTHER, 2, from_host_id=HOST).begin()
    assert moved.workspace == WorkspaceVersion(1, saved.sha256)
    with pytest.raises(FencedOutError):
        await first.write(Step(workspace=await snapshot(database, "late")))
    assert await list_stored(database, moved.session_id) == ([saved.sha256], 3)
    back = await record_on(execution, HOST, 3, from_host_id=OTHER).begin()
    assert back.workspace == WorkspaceVersion(2, saved.sha256)
    async with database.reading() as session:
        epochs = await workspaces.find_epochs(session, [moved.session_id, new_id()])
    assert epochs == {moved.session_id: 2}


async def test_a_move_includes_the_step_for_which_it_waited(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    first = record_on(execution, HOST, 1)
    session_id = (await first.begin()).session_id
    await first.write(Step(workspace=await snapshot(database, "early")))
    late = await snapshot(database, "late")
    async with database.transaction() as session:
        row = await queries.lock_existing(session, execution.id)
        await workspaces.record(session, WorkspaceOwner(row.id, session_id, row.user_id), late)
        await session.flush()
        moving = asyncio.ensure_future(record_on(execution, OTHER, 2, from_host_id=HOST).begin())
        done, _ = await asyncio.wait([moving], timeout=0.3)
        assert not done
    assert (await moving).workspace == WorkspaceVersion(1, late.sha256)


@pytest.mark.parametrize("kind", ["directory of the host", "files without a snapshot"])
async def test_what_can_not_be_restored_stays(database: Database, kind: str) -> None:
    is_directory = kind == "directory of the host"
    where = {"working_directory_path": "/srv/project"} if is_directory else {}
    execution = await open_execution(database, allowed_tools=["bash"], **where)
    await record_on(execution, HOST, 1).begin()
    if not is_directory:
        async with database.transaction() as session:
            await session.execute(update(SessionRow).values(workspace_bytes=KB))
    with pytest.raises(WorkspaceElsewhereError):
        await record_on(execution, OTHER, 2, from_host_id=HOST).begin()


async def test_repeated_segments_count_as_stalled(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    for segment in range(1, 4):
        identity = replace(execution.identity(segment), is_repeat=segment > 1)
        record = ExecutionRecord(database, execution.id, identity, host_id=HOST)
        assert (await record.begin()).stalled_attempts == segment - 1


async def test_earlier_snapshots_are_deleted_but_never_the_newest(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    record = record_on(execution, HOST, 1)
    session_id = (await record.begin()).session_id
    saved = [await snapshot(database, "kept", f"f{n}", turn=n) for n in range(1, 9)]
    for one in saved:
        await record.write(Step(workspace=one))
    assert await list_stored(database, session_id) == ([s.sha256 for s in saved], 17)
    await storage.delete_earlier_snapshots(database, 20 * KB)
    assert (await list_stored(database, session_id))[1] == 17
    await storage.delete_earlier_snapshots(database, 10 * KB)
    hashes, held = await list_stored(database, session_id)
    assert (hashes, held) == ([""] * 4 + [s.sha256 for s in saved[4:]], 9)
    for _ in range(4):
        await storage.delete_earlier_snapshots(database, 1)
    assert await list_stored(database, session_id) == ([""] * 7 + [saved[-1].sha256], 3)
    async with database.transaction() as session:
        row = await execution.row()
        found = await workspaces.find_after_turn(session, row, 3)
        assert found is not None
        assert (found.turn, found.blobs) == (3, [])
        newest = await workspaces.find_current(session, session_id)
        assert newest is not None
        assert await workspaces.copy(session, newest, new_id())
        await workspaces.delete_all(session, session_id)
    assert await list_stored(database, session_id) == ([], 0)


async def test_files_that_could_not_be_stored_are_recorded(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    record = record_on(execution, HOST, 1)
    session_id = (await record.begin()).session_id
    saved = await snapshot(database, "a", turn=1)
    await record.write(Step(workspace=saved))
    await record.write(Step(workspace=replace(NOT_SAVED, turn=2)))
    async with database.reading() as session:
        row = await execution.row()
        for turn, sha256 in ((1, saved.sha256), (2, "")):
            found = await workspaces.find_after_turn(session, row, turn)
            assert found is not None
            assert found.sha256 == sha256
    moved = await record_on(execution, OTHER, 2, from_host_id=HOST).begin()
    assert moved.workspace == WorkspaceVersion(1, saved.sha256)
    # The first host returns; it does not change the size of the workspace that moved.
    await storage.record_workspace(database, session_id, KB, epoch=1)
    await storage.record_workspace(database, session_id, 2 * KB, epoch=0)
    async with database.reading() as session:
        assert (await session.get_one(SessionRow, session_id)).workspace_bytes == KB


async def test_only_directories_that_have_moved_are_obsolete(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    session_id = (await record_on(execution, OTHER, 1).begin()).session_id
    async with database.transaction() as session:
        await session.execute(update(SessionRow).values(workspace_epoch=2))
    removed: list[Mapping[UUID, int | None]] = []

    async def list_sessions() -> Sequence[UUID]:
        return [session_id, new_id()]

    async def remove(epochs: Mapping[UUID, int | None]) -> None:
        removed.append(epochs)

    await storage.delete_obsolete_workspaces(database, list_sessions, remove)
    assert removed == [{session_id: 2}]


async def test_a_host_that_is_silent_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(hosts, "_FRESH_SECONDS", 0.2)
    here, there = WorkerHosts(database, HOST), WorkerHosts(database, OTHER)
    found = []
    for host in (here, there, here):
        await host.announce()
        found.append(host.has_others)
    assert found == [False, True, True]
    assert await here.answers(OTHER)
    await asyncio.sleep(hosts._FRESH_SECONDS)
    # Its silence counts only while this host announces itself.
    waiting = asyncio.ensure_future(here.answers(OTHER))
    done, _ = await asyncio.wait([waiting], timeout=1)
    assert not done
    while not waiting.done():
        await here.announce()
        await asyncio.sleep(0.05)
    assert waiting.result() is False
    assert await here.answers(new_id()) is False
    # After an outage of the database, no host has announced itself yet.
    await asyncio.sleep(hosts._FRESH_SECONDS)
    waiting = asyncio.ensure_future(here.answers(OTHER))
    done, _ = await asyncio.wait([waiting], timeout=0.4)
    assert not done
    while not waiting.done():
        await there.announce()
        await asyncio.sleep(0.05)
    assert waiting.result() is True


async def test_a_host_that_announced_itself_before_the_clock_was_set_back_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "SILENT_SECONDS", 0.3)
    here, there = WorkerHosts(database, HOST), WorkerHosts(database, OTHER)
    await there.announce()
    async with database.transaction() as session:
        await session.execute(text("UPDATE worker_hosts SET seen_at = seen_at + interval '1 h'"))
    waiting = asyncio.ensure_future(here.answers(OTHER))
    while not waiting.done():
        await here.announce()
        await asyncio.sleep(0.05)
    assert waiting.result() is False


async def test_files_of_hosts_that_are_gone_do_not_count_for_deleted_sessions(
    database: Database,
) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    session_id = (await record_on(execution, OTHER, 1).begin()).session_id
    removed: list[Mapping[UUID, int | None]] = []

    async def remove(epochs: Mapping[UUID, int | None]) -> None:
        removed.append(epochs)

    async with database.transaction() as session:
        changed = {"workspace_bytes": KB, "deleted_at": text("now()")}
        await session.execute(update(SessionRow).values(**changed))
        await session.execute(text("INSERT INTO worker_hosts SELECT :id, now()"), {"id": OTHER})
    assert await storage.delete_workspaces(database, HOST, remove) == 0
    async with database.transaction() as session:
        await session.execute(text("UPDATE worker_hosts SET seen_at = now() - interval '2 h'"))
    assert await storage.delete_workspaces(database, HOST, remove) == 1
    assert removed == [{session_id: None}]
