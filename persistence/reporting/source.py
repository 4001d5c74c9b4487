"""Gathering one execution's rows for its report. Reads only, takes no lock, reads no long text."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain.report_facts import Counts, Coverage, Ending, ReportSource, Subject, TokenCounts
from persistence.reporting import calls, lists
from persistence.reporting.earlier import earlier_run
from persistence.reporting.spans import spans_of
from persistence.reporting.totals import cost_of, spending_of
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import MessageRow


async def gather(
    session: AsyncSession, row: ExecutionRow, definition: TaskDefinition
) -> ReportSource:
    """Everything a report of this execution says, as it stands now."""
    now: datetime = await session.scalar(select(func.clock_timestamp())) or row.created_at
    found: dict[str, Any] = {
        "messages": await lists.messages(session, row.id),
        "tool_calls": await calls.tool_calls(session, row.id),
        "model_calls": await calls.model_calls(session, row.id),
        "input_requests": await lists.input_requests(session, row.id, now),
        "subtasks": await lists.subtasks(session, row.id),
        "artifacts": await lists.artifacts(session, row.id),
    }
    budget = row.budget_usd
    if budget is None:
        budget = definition.sdk_options.max_budget_usd
    return ReportSource(
        title=row.title,
        read_at=now,
        covered=await covered(session, row),
        subject=_subject(row, definition),
        ending=ending_of(row),
        summary=row.summary,
        prompt=row.rendered_prompt,
        result=row.result_data,
        **{name: part.parts for name, part in found.items()},
        previous=await earlier_run(session, row),
        spans=await spans_of(session, row.id, now),
        spending=await spending_of(session, row.id),
        turns=row.total_turns,
        tokens=_tokens(row),
        cost=await cost_of(session, row, budget),
        counts=Counts(**{name: part.total for name, part in found.items()}),
    )


async def covered(session: AsyncSession, row: ExecutionRow) -> Coverage:
    """How far the execution has come."""
    seq = await session.scalar(
        select(func.max(MessageRow.seq)).where(
            MessageRow.execution_id == row.id, MessageRow.superseded_at.is_(None)
        )
    )
    return Coverage(epoch=row.epoch, last_message_seq=seq or 0)


def ending_of(row: ExecutionRow) -> Ending:
    """How an execution with nothing left to do ends, by the rule of `endings.finish`.

    A cancel wins over a failure, and a failure over what was answered before it.
    """
    if row.cancel_requested_at is not None:
        return Ending(status="cancelled", message=row.cancel_reason)
    if row.error_code is not None:
        return Ending(status="failed", error_code=row.error_code, message=row.error_message)
    return Ending(status="completed")


def _subject(row: ExecutionRow, definition: TaskDefinition) -> Subject:
    return Subject(
        execution_id=row.id,
        task_id=row.task_id,
        task_version=row.task_version,
        session_id=row.session_id,
        parent_execution_id=row.parent_execution_id,
        agent_id=row.agent_id,
        trigger_type=row.trigger_type,
        model=definition.sdk_options.model,
        created_at=row.created_at,
        started_at=row.started_at,
    )


def _tokens(row: ExecutionRow) -> TokenCounts:
    return TokenCounts(
        input=row.input_tokens,
        output=row.output_tokens,
        cache_read=row.cache_read_tokens,
        cache_write=row.cache_write_tokens,
    )
