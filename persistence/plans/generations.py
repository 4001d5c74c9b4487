"""Executions in which Claude writes a plan."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.tables.plans import PlanGenerationRow

_COPY = text("""
INSERT INTO plan_generations (execution_id, request, corrections)
SELECT :new_id, request, 0 FROM plan_generations WHERE execution_id = :old_id
""")


async def store(session: AsyncSession, execution_id: UUID, request: Mapping[str, Any]) -> None:
    """Note that a plan is to be made of the result of an execution."""
    session.add(PlanGenerationRow(execution_id=execution_id, request=dict(request)))
    await session.flush()


async def find(
    session: AsyncSession, execution_id: UUID, *, lock: bool = False
) -> PlanGenerationRow | None:
    """What is to be made of the result of an execution, if that is a plan."""
    return await session.get(
        PlanGenerationRow, execution_id, with_for_update=lock or None, populate_existing=lock
    )


async def copy(session: AsyncSession, old_id: UUID, new_id: UUID) -> None:
    """Let the retry of an execution make what the first one was to make."""
    await session.execute(_COPY, {"old_id": old_id, "new_id": new_id})
