"""Read the rows of one execution for its report: takes no lock and reads no long text."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.executions.report_facts import (
    Counts,
    Coverage,
    Ending,
    EndStatus,
    FileVersion,
    PreviousRun,
    ReportSource,
    Subject,
    TokenCounts,
)
from domain.executions.states import ExecutionStatus
from persistence.reporting import lists
from persistence.reporting.costs import read_cost, read_turn_usage
from persistence.reporting.queries import ListEnds
from persistence.reporting.spans import read_spans
from persistence.tables.columns import read_as
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow, MessageRow


async def read_report_source(
    session: AsyncSession, row: ExecutionRow, definition: TaskDefinition
) -> ReportSource:
    """All facts for a report of this execution, as they are now."""
    now: datetime = await session.scalar(select(func.clock_timestamp())) or row.created_at
    ended_at = row.completed_at or now
    entries: dict[str, ListEnds[Any]] = {
        "messages": await lists.read_messages(session, row.id),
        "tool_calls": await lists.read_tool_calls(session, row.id),
        "model_calls": await lists.read_model_calls(session, row.id),
        "input_requests": await lists.read_input_requests(session, row.id, ended_at),
        "subtasks": await lists.read_subtasks(session, row.id),
        "artifacts": await lists.read_artifacts(session, row.id),
    }
    budget = row.budget_usd
    if budget is None:
        budget = definition.sdk_options.max_budget_usd
    return ReportSource(
        title=row.title,
        read_at=now,
        ended_at=ended_at,
        covered=await read_coverage(session, row),
        subject=_subject(row, definition),
        ending=derive_ending(row),
        summary=row.summary,
        prompt=row.rendered_prompt,
        result=row.result_data,
        **{name: ends.entries for name, ends in entries.items()},
        previous=await read_previous_run(session, row),
        spans=await read_spans(session, row.id, ended_at),
        spending=await read_turn_usage(session, row.id),
        turns=row.total_turns,
        tokens=_tokens(row),
        cost=await read_cost(session, row, budget),
        counts=Counts(**{name: ends.total for name, ends in entries.items()}),
    )


async def read_coverage(session: AsyncSession, row: ExecutionRow) -> Coverage:
    """The last step of the execution."""
    seq = await session.scalar(
        select(func.max(MessageRow.seq)).where(
            MessageRow.execution_id == row.id, MessageRow.superseded_at.is_(None)
        )
    )
    return Coverage(epoch=row.epoch, last_message_seq=seq or 0)


def derive_ending(row: ExecutionRow) -> Ending:
    """How an execution ended, or ends with nothing left to do, by the rule of `lifecycle.finish`.

    A cancel wins over a failure, and a failure over what was answered before it.
    """
    if ExecutionStatus(row.status).is_terminal:
        message = row.error_message or row.cancel_reason
        status = cast("EndStatus", row.status)
        return Ending(status=status, error_code=row.error_code, message=message)
    if row.cancel_requested_at is not None:
        return Ending(status="cancelled", message=row.cancel_reason)
    if row.error_code is not None:
        return Ending(status="failed", error_code=row.error_code, message=row.error_message)
    return Ending(status="completed")


def _subject(row: ExecutionRow, definition: TaskDefinition) -> Subject:
    model = definition.sdk_options.model
    return read_as(Subject, row, execution_id=row.id, model=model)


def _tokens(row: ExecutionRow) -> TokenCounts:
    return TokenCounts(
        input=row.input_tokens,
        output=row.output_tokens,
        cache_read=row.cache_read_tokens,
        cache_write=row.cache_write_tokens,
    )


COMPARED_FILES = 1_000
"""Of each run, the newest: more than a run saves (chosen)."""


async def read_previous_run(session: AsyncSession, row: ExecutionRow) -> PreviousRun | None:
    """The last scheduled run before this one that completed.

    None if this run is the first one or not scheduled: a run that a person starts may do something
    else than the runs before it.
    """
    if row.task_id is None or row.trigger_type != "scheduled":
        return None
    previous = (await session.execute(select_previous_run(row.task_id, row.id))).one_or_none()
    if previous is None:
        return None
    return PreviousRun(
        execution_id=previous.id,
        report_id=previous.report_id,
        completed_at=previous.completed_at,
        result=previous.result_data,
        files=await _list_files(session, previous.id),
        current_files=await _list_files(session, row.id),
    )


def select_previous_run(task_id: UUID, execution_id: UUID) -> Select[Any]:
    """Select the last scheduled run of the task before this execution that completed."""
    run = ExecutionRow
    return (
        select(run.id, run.report_id, run.completed_at, run.result_data)
        .where(
            run.task_id == task_id,
            # As literals, so that the planner can use the partial index.
            run.trigger_type == literal_column("'scheduled'"),
            run.status == literal_column("'completed'"),
            run.id < execution_id,
        )
        .order_by(run.id.desc())
        .limit(1)
    )


async def _list_files(session: AsyncSession, execution_id: UUID) -> Sequence[FileVersion]:
    """The files that the model saved in a run, the newest last."""
    rows = await session.execute(
        select(ArtifactRow.name, ArtifactRow.sha256, ArtifactRow.size_bytes)
        .where(ArtifactRow.execution_id == execution_id, ArtifactRow.kind == "artifact")
        .order_by(ArtifactRow.id.desc())
        .limit(COMPARED_FILES)
    )
    return [
        FileVersion(name=file.name, sha256=file.sha256, size_bytes=file.size_bytes)
        for file in reversed(rows.all())
    ]
