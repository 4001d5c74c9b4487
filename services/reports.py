"""Store the report of an execution: just before its end, or afterwards on request.

`compose` makes the stored content from the facts (`reports.compose.compose_json`). It keeps a core
busy, so it runs in a thread, and no connection to the database is kept meanwhile.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import ReportFormat, TaskDefinition
from domain.errors import ConflictError, NotFoundError
from domain.executions.events import Event
from domain.executions.report_facts import ReportSource
from domain.executions.states import ExecutionStatus
from domain.ids import new_id, read_creation_time
from domain.plans.plan import PLAN
from persistence.db.database import Database
from persistence.executions import events, lifecycle, queries
from persistence.executions.snapshot import definition_of
from persistence.reporting import reports
from persistence.reporting.source import derive_ending, read_coverage, read_report_source
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ReportRow
from services.caller import Caller
from services.executions.access import get_own_execution
from services.field_types import Body
from services.unit_of_work import UnitOfWork

Compose = Callable[[ReportSource], dict[str, Any]]

DEFAULT_FORMAT: ReportFormat = "html"
"""The format for a definition without `report_format`."""


async def store_report(database: Database, execution_id: UUID, compose: Compose) -> None:
    """Write the report, set it as the execution's report and record the event `report.ready`.

    Does nothing if the task does not want a report, or if the newest report is current: so a retry
    has no effect. If an execution continues after its report, because a message arrived before the
    end or an operator reset it, it gets a new report; the old one stays.

    Raises:
        NotFoundError: there is no such execution.
    """
    # Reading takes no lock: a cancel that arrives meanwhile must not wait for a long report.
    async with database.reading() as session:
        row = await session.get(ExecutionRow, execution_id)
        if row is None:
            raise NotFoundError(f"Execution {execution_id} does not exist.")
        definition = TaskDefinition.model_validate(await definition_of(session, row))
        if not definition.generate_report or await _find_current(session, row) is not None:
            return
        source = await read_report_source(session, row, definition)
    content = await asyncio.to_thread(compose, source)
    async with database.transaction() as session:
        row = await queries.lock_existing(session, execution_id)
        if _has_ended(row) or await _find_current(session, row) is not None:
            return
        content["outcome"] |= asdict(derive_ending(row))
        report = await _write(session, row, definition.report_format or DEFAULT_FORMAT, content)
        ready = Event("report.ready", {"report_id": str(report.id), "format": report.format})
        await events.append(session, row.id, ready)


class ReportCreate(Body):
    """A report to create, which can be downloaded in every format."""

    format: Annotated[
        ReportFormat | None, Field(description="The usual format; by default that of the task.")
    ] = None


@dataclass(frozen=True, slots=True)
class CreatedReport:
    """The report of an ended execution; `is_new`: it did not exist."""

    row: ReportRow
    is_new: bool


@dataclass(frozen=True, slots=True)
class ComposedReport:
    """A report that is not stored, with the format that its task specifies."""

    content: dict[str, Any]
    format: ReportFormat


async def compose_report(
    database: Database, caller: Caller, execution_id: UUID, compose: Compose
) -> ComposedReport | None:
    """Compose what `create_report` writes; None if it would refuse, or return a report."""
    async with database.reading() as session:
        row = await get_own_execution(session, caller, execution_id)
        if (
            row.executor == PLAN
            or not _has_ended(row)
            or await _find_current(session, row) is not None
        ):
            return None
        definition = TaskDefinition.model_validate(await definition_of(session, row))
        source = await read_report_source(session, row, definition)
    content = await asyncio.to_thread(compose, source)
    return ComposedReport(content, definition.report_format or DEFAULT_FORMAT)


async def create_report(
    work: UnitOfWork, execution_id: UUID, composed: ComposedReport | None, body: ReportCreate
) -> CreatedReport:
    """Write the report of an ended execution of the caller, or return the one that it has.

    No event is recorded: the events of an execution stop at its end.

    Raises:
        ConflictError: the execution has not ended, or it is the execution of a plan.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    _require_ended(row)
    if (current := await _find_current(work.session, row)) is not None:
        return CreatedReport(current, is_new=False)
    if composed is None:
        raise ConflictError("The execution has just changed; create its report again.")
    chosen = body.format or composed.format
    report = await _write(work.session, row, chosen, composed.content)
    after = {"execution_id": str(execution_id), "format": chosen}
    await work.record_audit("report.create", ("report", report.id), after=after)
    return CreatedReport(report, is_new=True)


def _require_ended(row: ExecutionRow) -> None:
    if row.executor == PLAN:
        raise ConflictError("This execution runs a plan; read the report of the plan.")
    if not _has_ended(row):
        raise ConflictError("The execution has not ended; its report can be created afterwards.")


def _has_ended(row: ExecutionRow) -> bool:
    return ExecutionStatus(row.status).is_terminal


async def _write(
    session: AsyncSession, row: ExecutionRow, report_format: str, content: dict[str, Any]
) -> ReportRow:
    report_id = new_id()
    report = ReportRow(
        id=report_id,
        # The time in the id: lists select a period by ids, which are indexed.
        created_at=read_creation_time(report_id),
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
    return report


async def _find_current(session: AsyncSession, row: ExecutionRow) -> ReportRow | None:
    """The newest report, if it covers the last step of the execution."""
    report = await reports.find_newest(session, row.id)
    if report is None:
        return None
    now = await read_coverage(session, row)
    return report if report.content["covered"] == asdict(now) else None
