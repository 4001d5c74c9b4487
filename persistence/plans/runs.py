"""The run of a plan as its workflow sees it: states of steps, what was started and reported."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import ExecutionStatus
from domain.plans.plan import StepState
from persistence.db import sql
from persistence.db.database import Database
from persistence.tables.columns import read_as

_SQL = sql.load("plans/plans.sql")


async def list_states(session: AsyncSession, plan_id: UUID) -> Sequence[StepState]:
    """The steps of a plan whose run is locked, in their order."""
    found = await session.execute(_SQL["list_step_states"], {"plan_id": plan_id})
    return [
        read_as(StepState, row, status=ExecutionStatus(row.status) if row.status else None)
        for row in found
    ]


async def store_start_segment(
    session: AsyncSession, plan_id: UUID, keys: Sequence[str], segment: int
) -> None:
    """Note that this segment of the workflow starts these steps."""
    if keys:
        parameters = {"plan_id": plan_id, "keys": list(keys), "segment": segment}
        await session.execute(_SQL["store_start_segment"], parameters)


async def store_reported(
    session: AsyncSession, plan_id: UUID, statuses: Mapping[str, str | None]
) -> None:
    """Note what events of the plan say about these steps."""
    parameters = {
        "plan_id": plan_id,
        "keys": list(statuses),
        "statuses": list(statuses.values()),
    }
    await session.execute(_SQL["store_reported"], parameters)


async def list_results(
    session: AsyncSession, execution_id: UUID, keys: Sequence[str]
) -> Mapping[str, str]:
    """The texts of the results of these steps, for the execution of a step that needs them."""
    parameters = {"execution_id": execution_id, "keys": list(keys)}
    found = await session.execute(_SQL["list_results"], parameters)
    return {row.key: row.result for row in found}


async def load_results(
    database: Database, execution_id: UUID, keys: Sequence[str]
) -> Mapping[str, str]:
    """As `list_results`, in a transaction of its own."""
    async with database.reading() as session:
        return await list_results(session, execution_id, keys)


async def list_final_results(session: AsyncSession, plan_id: UUID) -> Sequence[tuple[str, str]]:
    """The titles and results of the steps on which no other depends, in their order."""
    found = await session.execute(_SQL["list_final_results"], {"plan_id": plan_id})
    return [(row.title, row.result) for row in found]
