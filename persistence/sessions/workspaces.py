"""The snapshots of workspaces, and the hosts of workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.workspaces.snapshots import WorkspaceSnapshot
from persistence.db.database import Database
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from persistence.tables.workspaces import WorkspaceBlobRow, WorkspaceSnapshotRow

_ADD_BLOBS = text("""
INSERT INTO workspace_blobs (session_id, user_id, sha256, size_bytes)
SELECT :session_id, :user_id, new.sha256, new.size_bytes
FROM ROWS FROM (
    unnest(CAST(:hashes AS text[])), unnest(CAST(:sizes AS bigint[]))
) AS new (sha256, size_bytes)
ORDER BY new.sha256
ON CONFLICT (session_id, sha256) DO NOTHING
""")

_COPY_BLOBS = text("""
INSERT INTO workspace_blobs (session_id, user_id, sha256, size_bytes)
SELECT :to_session_id, user_id, sha256, size_bytes FROM workspace_blobs
WHERE session_id = :session_id AND sha256 = ANY(CAST(:hashes AS text[]))
ORDER BY sha256
RETURNING sha256
""")

_LARGE = text("""
SELECT DISTINCT w.session_id FROM workspace_snapshots w
WHERE w.id > (SELECT max(id) FROM workspace_snapshots) - :recent AND (
    SELECT sum(b.size_bytes) FROM workspace_blobs b WHERE b.session_id = w.session_id
) > :kept_bytes AND (
    SELECT count(*) FROM workspace_snapshots o
    WHERE o.session_id = w.session_id AND o.sha256 <> ''
) > 1
""")

_LOCK_WRITERS = text("""
SELECT id FROM executions
WHERE session_id = :session_id AND status NOT IN ('completed', 'failed', 'cancelled')
ORDER BY id FOR NO KEY UPDATE
""")

_DELETE_OLDER_HALF = text("""
WITH stored AS (
    SELECT id, blobs, ntile(2) OVER (ORDER BY id) = 1 AS is_older
    FROM workspace_snapshots WHERE session_id = :session_id AND sha256 <> ''
),
emptied AS (
    UPDATE workspace_snapshots SET sha256 = '', blobs = '{}'
    WHERE id IN (SELECT id FROM stored WHERE is_older)
        AND id < (SELECT max(id) FROM stored)
    RETURNING id
)
DELETE FROM workspace_blobs WHERE session_id = :session_id AND sha256 NOT IN (
    SELECT unnest(blobs) FROM stored WHERE id NOT IN (SELECT id FROM emptied)
)
""")

_ANNOUNCE = text("""
WITH own AS (
    INSERT INTO worker_hosts (host_id, seen_at) VALUES (:host_id, clock_timestamp())
    ON CONFLICT (host_id) DO UPDATE SET seen_at = excluded.seen_at
)
SELECT EXISTS (
    SELECT FROM worker_hosts
    WHERE host_id <> :host_id AND seen_at > clock_timestamp() - interval '1 minute'
) AS has_others
""")

_SILENCE = text("""
SELECT abs(extract(epoch FROM clock_timestamp() - seen_at)) AS seconds
FROM worker_hosts WHERE host_id = :host_id
""")

_ANNOUNCED = text("""
SELECT EXISTS (
    SELECT FROM worker_hosts
    WHERE abs(extract(epoch FROM clock_timestamp() - seen_at)) < :seconds
)
""")


@dataclass(frozen=True, slots=True)
class WorkspaceOwner:
    """The execution that changed a workspace, with its session and its user."""

    execution_id: UUID
    session_id: UUID
    user_id: UUID


async def record(session: AsyncSession, owner: WorkspaceOwner, snapshot: WorkspaceSnapshot) -> None:
    """Record a snapshot whose files are stored, or that those of a turn could not be stored.

    Raises:
        IntegrityError: a stored file was deleted, because it was stored more than a day ago.
    """
    session.add(
        WorkspaceSnapshotRow(
            session_id=owner.session_id,
            execution_id=owner.execution_id,
            turn=snapshot.turn,
            sha256=snapshot.sha256,
            blobs=[blob.sha256 for blob in snapshot.blobs],
            files=snapshot.files,
            size_bytes=snapshot.size_bytes,
        )
    )
    blobs = {
        "session_id": owner.session_id,
        "user_id": owner.user_id,
        "hashes": [blob.sha256 for blob in snapshot.blobs],
        "sizes": [blob.size_bytes for blob in snapshot.blobs],
    }
    await session.execute(_ADD_BLOBS, blobs)


async def find_after_turn(
    session: AsyncSession, source: ExecutionRow, turn: int
) -> WorkspaceSnapshotRow | None:
    """The files after a turn of an execution; turn 0 is before its first turn."""
    table = WorkspaceSnapshotRow
    is_own = (table.execution_id == source.id) & (table.turn <= turn)
    statement = (
        select(table)
        .where(table.session_id == source.session_id, is_own | (table.execution_id < source.id))
        .order_by(table.id.desc())
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none()


async def find_current(session: AsyncSession, session_id: UUID) -> WorkspaceSnapshotRow | None:
    """The newest snapshot of a session. Rows of files that could not be stored are skipped."""
    table = WorkspaceSnapshotRow
    statement = select(table).where(table.session_id == session_id, table.sha256 != "")
    return (await session.scalars(statement.order_by(table.id.desc()).limit(1))).one_or_none()


async def copy(session: AsyncSession, found: WorkspaceSnapshotRow, session_id: UUID) -> bool:
    """Let a new session start with the files of a snapshot; False if they are being deleted."""
    session.add(
        WorkspaceSnapshotRow(
            session_id=session_id,
            execution_id=found.execution_id,
            turn=0,
            sha256=found.sha256,
            blobs=found.blobs,
            files=found.files,
            size_bytes=found.size_bytes,
        )
    )
    copied = {
        "to_session_id": session_id,
        "session_id": found.session_id,
        "hashes": found.blobs,
    }
    stored = (await session.scalars(_COPY_BLOBS, copied)).all()
    return len(stored) == len(found.blobs)


async def list_large(session: AsyncSession, *, kept_bytes: int, recent: int) -> Sequence[UUID]:
    """The sessions of the most recent snapshots that store more than that, in several snapshots."""
    found = await session.scalars(_LARGE, {"kept_bytes": kept_bytes, "recent": recent})
    return found.all()


async def delete_older_half(session: AsyncSession, session_id: UUID) -> None:
    """Delete the older half of the snapshots of a session, but never the newest one.

    Their rows remain, empty. Executions that write snapshots are locked: one that is written at
    the same time may need the files of an older one.
    """
    await session.execute(_LOCK_WRITERS, {"session_id": session_id})
    await session.execute(_DELETE_OLDER_HALF, {"session_id": session_id})


async def delete_all(session: AsyncSession, session_id: UUID) -> None:
    """Delete all snapshots of a session that has no active execution."""
    for table in (WorkspaceSnapshotRow, WorkspaceBlobRow):
        await session.execute(delete(table).where(table.session_id == session_id))


# --- hosts --------------------------------------------------------------------------------------


async def announce_host(database: Database, host_id: UUID) -> bool:
    """Write that a host has a running worker. Return whether other hosts did within a minute."""
    [found] = await database.raw.rows(_ANNOUNCE, {"host_id": host_id})
    return bool(found.has_others)


async def host_silence_seconds(database: Database, host_id: UUID) -> float | None:
    """How long ago a host announced itself; None if it never did.

    After the clock of the database was set back, an earlier announcement is in the future. It is
    as old as it is ahead: a host that runs announces itself again within a second.
    """
    found = await database.raw.run(_SILENCE, {"host_id": host_id})
    return None if found is None else float(found.seconds)


async def has_announced_host(session: AsyncSession, *, within_seconds: float) -> bool:
    """Whether a host announced itself within this time."""
    return bool(await session.scalar(_ANNOUNCED, {"seconds": within_seconds}))


async def find_epochs(
    session: AsyncSession, session_ids: Sequence[UUID]
) -> Mapping[UUID, int | None]:
    """The epochs of those workspaces that have moved; older directories are obsolete.

    None for a deleted session, whose directories are all obsolete.
    """
    row = SessionRow
    is_deleted = row.deleted_at.is_not(None) & (row.workspace_bytes == 0)
    statement = select(row.id, row.workspace_epoch, is_deleted).where(
        row.id.in_(session_ids), is_deleted | (row.workspace_epoch > 0)
    )
    found = await session.execute(statement)
    return {id_: None if is_gone else epoch for id_, epoch, is_gone in found}
