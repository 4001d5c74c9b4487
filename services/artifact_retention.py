"""Deletes artifacts of a task's executions after the time that the task says."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from persistence.db.database import Database
from persistence.ledger.audit import ENGINE
from persistence.sessions import artifact_retention
from persistence.tables.sessions import ArtifactRow
from services.definitions.inputs import Retention
from services.executions.access import get_own_task
from services.field_types import Body
from services.storage import StorageGuard
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

EXAMINED = 5_000
"""Artifacts of one sweep: 30 ms in the database (chosen)."""

MOST_AT_ONCE = 1_000
"""Artifacts of one request (chosen: takes some tenths of a second)."""

FIRST = UUID(int=0)

log = structlog.get_logger(__name__)


class PruneBody(Body):
    """Which artifacts to delete: those of executions that ended so long ago.

    The default is the task's `artifact_retention_seconds`. A dry run only lists them.
    """

    older_than_seconds: Retention | None = None
    dry_run: bool = True


@dataclass(frozen=True, slots=True)
class PrunedArtifacts:
    """The artifacts that are deleted, at most `MOST_AT_ONCE`."""

    older_than_seconds: int
    rows: Sequence[ArtifactRow]

    @property
    def has_more(self) -> bool:
        """Whether a further call may find more."""
        return len(self.rows) == MOST_AT_ONCE


class RetentionSweep:
    """Deletes expired artifacts. Each worker goes through all artifacts, again and again."""

    def __init__(self, database: Database, storage: StorageGuard) -> None:
        """`storage` counts again what the owners store."""
        self._database = database
        self._storage = storage
        self._after = FIRST

    async def sweep(self) -> int:
        """Examine the next artifacts; returns how many were deleted."""
        async with self._database.transaction() as session:
            examined = await artifact_retention.examine(session, self._after, limit=EXAMINED)
            deleted = await artifact_retention.delete(session, examined.expired, by=ENGINE)
        self._after = examined.after or FIRST
        for user_id in deleted:
            self._storage.forget(user_id)
        if deleted:
            log.info("artifacts.expired_deleted", artifacts=sum(deleted.values()))
        return sum(deleted.values())


async def prune(work: UnitOfWork, task_id: UUID, body: PruneBody) -> PrunedArtifacts:
    """Delete artifacts of a task's executions now, or list them in a dry run.

    Raises:
        InvalidInputError: neither the request nor the task says how old they must be.
    """
    task = (await get_own_task(work.session, work.caller, task_id, lock=False)).row
    seconds = body.older_than_seconds or task.artifact_retention_seconds
    if seconds is None:
        hint = "The task keeps its artifacts; say how old those to delete must be."
        raise refuse_field("The request is invalid; see errors.", "older_than_seconds", hint)
    rows = await artifact_retention.list_older(
        work.session, task_id, task.user_id, seconds=seconds, limit=MOST_AT_ONCE
    )
    if rows and not body.dry_run:
        ids = [row.id for row in rows]
        await artifact_retention.delete(work.session, ids, by=work.caller.actor)
        work.services.storage.forget(task.user_id)
    return PrunedArtifacts(seconds, rows)
