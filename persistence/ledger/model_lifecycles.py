"""The lifecycles of models, as the Models API last answered."""

from collections.abc import Mapping

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.model.lifecycles import ModelLifecycle
from persistence.tables.ledger import ModelLifecycleRow


async def store(session: AsyncSession, lifecycles: Mapping[str, ModelLifecycle]) -> None:
    """Replace what is stored about these models; the others stay as they are."""
    if not lifecycles:
        return
    statement = insert(ModelLifecycleRow).values(
        [
            {"model": model, "is_retired": known.is_retired, "retires_on": known.retires_on}
            for model, known in sorted(lifecycles.items())
        ]
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["model"],
            set_={
                "is_retired": statement.excluded.is_retired,
                "retires_on": statement.excluded.retires_on,
                "read_at": text("now()"),
            },
        )
    )


async def load(session: AsyncSession) -> Mapping[str, ModelLifecycle]:
    """All that is stored, by model."""
    rows = await session.scalars(select(ModelLifecycleRow))
    return {row.model: ModelLifecycle(row.retires_on, row.is_retired) for row in rows}
