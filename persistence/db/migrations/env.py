"""Runs migrations on the connection `persistence.db.migrate` hands over, or on an address."""

import asyncio
import os
from typing import Literal

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from persistence.db.database import sqlalchemy_url
from persistence.tables import metadata
from persistence.tables.columns import CleanText

# A migration that can't have its lock at once must not queue everyone else behind it.
LOCK_TIMEOUT = "5s"


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write our text type as the plain `text` it is in the database."""
    return "sa.Text()" if kind == "type" and isinstance(item, CleanText) else False


def run(connection: Connection) -> None:
    """Upgrade (or compare) in one transaction."""
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


async def run_alone() -> None:
    """Called by the `alembic` command itself."""
    engine = create_async_engine(sqlalchemy_url(os.environ["PERDURE_DATABASE_URL"]))
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(run_alone())
