"""`report`: put into words what the record holds, once for each end that an execution comes to."""

import asyncio
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain.errors import NotFoundError
from domain.events import Event
from domain.ids import made_at, new_id
from domain.report_facts import ReportSource
from domain.states import ExecutionStatus
from persistence.executions import events, queries
from persistence.executions.snapshot import definition_of
from persistence.reporting import reports
from persistence.reporting.source import covered, ending_of, gather
from persistence.tables.executions import ExecutionRow
from persistence.tables.reports import ReportRow
from reports.compose import compose

DEFAULT_FORMAT = "html"
"""Of a stored definition that names none."""


async def store(session: AsyncSession, execution_id: UUID) -> None:
    """Write the report, bind the execution to it and tell; nothing if its task wants none.

    A repeat finds the report and does nothing. An execution that went on after its report, because
    a message came before the end or an operator reset it, gets a new one; the old one stays.
    """
    row = await session.get(ExecutionRow, execution_id)
    if row is None:
        raise NotFoundError(f"There is no execution {execution_id}.")
    definition = TaskDefinition.model_validate(await definition_of(session, row))
    if not definition.generate_report or await _is_told(session, row):
        return
    # Reading takes no lock: a cancel that comes meanwhile must not wait for a long story.
    source = await gather(session, row, definition)
    content = await asyncio.to_thread(_content, source)
    row = await queries.lock_existing(session, execution_id)
    if ExecutionStatus(row.status).is_terminal or await _is_told(session, row):
        return
    content["outcome"] |= asdict(ending_of(row))
    await _write(session, row, definition.report_format or DEFAULT_FORMAT, content)


async def _write(
    session: AsyncSession, row: ExecutionRow, report_format: str, content: dict[str, Any]
) -> None:
    report_id = new_id()
    report = ReportRow(
        id=report_id,
        # The id's own time: lists select a span of time by ids, which are indexed.
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
    row.report_id = report.id
    await session.flush()
    ready = Event("report.ready", {"report_id": str(report.id), "format": report_format})
    await events.append(session, row.id, ready)


def _content(source: ReportSource) -> dict[str, Any]:
    return compose(source).to_json()


async def _is_told(session: AsyncSession, row: ExecutionRow) -> bool:
    """Whether the newest report tells the story to its end."""
    report = await reports.of_execution(session, row.id)
    if report is None:
        return False
    now = await covered(session, row)
    return bool(report.content["covered"] == asdict(now))
