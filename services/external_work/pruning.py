"""Leaves finished work out of the queue, or deletes its content, in whole trees."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.executions import queue_state
from persistence.executions.queue_state import FinishedFilter
from persistence.tables.executions import ExecutionRow
from services.external_work import planning
from services.external_work.stale_work import Hours
from services.field_types import Body
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

MOST_AT_ONCE = 100
"""Trees of one call, the oldest ones (chosen: most trees are one execution)."""


PrunedIds = Annotated[
    tuple[UUID, ...],
    Field(max_length=MOST_AT_ONCE, description="These, with their parts. Empty: all that match."),
]
FinishedStatuses = Annotated[
    tuple[ExecutionStatus, ...], Field(description="Of completed, failed, cancelled.")
]


class PruneOptions(BaseModel):
    """How old pruned work is, and what is done with it."""

    older_than_hours: Annotated[Hours | None, Field(description="Only what ended so long ago.")] = (
        None
    )
    erase: Annotated[bool, Field(description="Delete texts, results and artifacts.")] = False
    dry_run: bool = True


class PruneWorkBody(PruneOptions, Body):
    """Which finished work to prune: these executions, or what ended so long ago.

    A part is pruned with the work that it is a part of, and only if all of that has ended, and all
    that waits for it. Pruned work is left out of lists and counts of work; with `erase`, its texts,
    results and artifacts are deleted too. A dry run only lists it.
    """

    execution_ids: PrunedIds = ()
    statuses: FinishedStatuses = ()


async def prune(work: UnitOfWork, body: PruneWorkBody) -> Sequence[ExecutionRow]:
    """Prune finished external work of the caller; returns it, the oldest first.

    Raises:
        InvalidInputError: the request says neither which work nor how old, or a status is not one
            in which work has ended.
    """
    if not body.execution_ids and body.older_than_hours is None:
        hint = "Say which executions to prune, or how long ago they must have ended."
        raise refuse_field("The request is invalid; see errors.", "older_than_hours", hint)
    if not TERMINAL.issuperset(body.statuses):
        hint = "Only finished work is pruned: use completed, failed or cancelled."
        raise refuse_field("The request is invalid; see errors.", "statuses", hint)
    finished = FinishedFilter(
        ids=body.execution_ids,
        statuses=body.statuses or tuple(TERMINAL),
        ended_before=datetime.now(UTC) - timedelta(hours=body.older_than_hours or 0),
    )
    list_finished = partial(
        queue_state.list_finished, work.session, work.caller.user_id, limit=MOST_AT_ONCE
    )
    rows = await list_finished(finished)
    if body.dry_run or not rows:
        return rows
    # Until it is locked, other work can begin to wait for it.
    ids = {row.id for row in rows}
    await queue_state.find_all(work.session, work.caller.user_id, ids, lock=True)
    tops = [row.id for row in rows if row.parent_execution_id not in ids]
    rows = await list_finished(replace(finished, ids=tops))
    for row in rows:
        await planning.delete(work, row.id, force=True, erase=body.erase)
    return rows
