"""`report`: write the report of an execution just before its end."""

import asyncio
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.errors import NotFoundError
from domain.events import Event
from domain.ids import made_at, new_id
from domain.report_facts import ReportSource
from domain.states import ExecutionStatus
from persistence.executions import events, lifecycle, queries
from persistence.executions.snapshot import definition_of
from persistence.reporting import reports
from persistence.reporting.source import derive_ending, read_coverage, read_report_source
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ReportRow
from reports.compose import compose

DEFAULT_FORMAT = "html"
"""The format for a stored definition without `report_format`."""


async def store_report(session: AsyncSession, execution_id: UUID) -> None:
    """Write the report, set it as the execution's report and record the event `report.ready`.

    Does nothing if the task does not want a report, or if the newest report is current: so a retry
    has no effect. If an execution continues after its report, because a message arrived before the
    end or an operator reset it, it gets a new report; the old one stays.

    Raises:
        NotFoundError: there is no such execution.
    """
    row = await session.get(ExecutionRow, execution_id)
    if row is None:
        raise NotFoundError(f"Execution {execution_id} does not exist.")
    definition = TaskDefinition.model_validate(await definition_of(session, row))
    if not definition.generate_report or await _is_current(session, row):
        return
    # Reading takes no lock: a cancel that arrives meanwhile must not wait for a long report.
    source = await read_report_source(session, row, definition)
    content = await asyncio.to_thread(_compose_json, source)
    row = await queries.lock_existing(session, execution_id)
    if ExecutionStatus(row.status).is_terminal or await _is_current(session, row):
        return
    content["outcome"] |= asdict(derive_ending(row))
    await _write(session, row, definition.report_format or DEFAULT_FORMAT, content)


async def _write(
    session: AsyncSession, row: ExecutionRow, report_format: str, content: dict[str, Any]
) -> None:
    report_id = new_id()
    report = ReportRow(
        id=report_id,
        # The time in the id: lists select a period by ids, which are indexed.
        created_at=made_at(report_id),
        user_id=row.user_id,
        execution_id=row.id,
        task_id=row.task_id,
        title=row.title,
        format=report_format,
        content=content,
    )
    session.add(report)
    await session.flush()
    lifecycle.set_report(row, report.id)
    await session.flush()
    ready = Event("report.ready", {"report_id": str(report.id), "format": report_format})
    await events.append(session, row.id, ready)


def _compose_json(source: ReportSource) -> dict[str, Any]:
    return compose(source).to_json()


async def _is_current(session: AsyncSession, row: ExecutionRow) -> bool:
    """Whether the newest report covers the last step of the execution."""
    report = await reports.find_newest(session, row.id)
    if report is None:
        return False
    now = await read_coverage(session, row)
    return bool(report.content["covered"] == asdict(now))
