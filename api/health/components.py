"""The states of what executions need: the database, its schema, Temporal, a worker."""

import asyncio
from datetime import timedelta

from sqlalchemy import text
from temporalio.service import RPCError

from api.gateway import Gateway
from persistence.db.migrate import NEWEST, PreReleaseDatabaseError, find_revision
from persistence.db.outages import is_outage
from services.hosts import has_workers

PROBE_SECONDS = 2.0
"""A check that takes longer fails; orchestrators check every few seconds (chosen)."""


async def check_components(gateway: Gateway) -> dict[str, str]:
    """The states of the database, of its schema, of Temporal and of the workers; `ok` if they work.

    `workers` are `unavailable` if no worker has announced itself for some seconds.
    """
    in_database, temporal = await asyncio.gather(_database(gateway), _temporal(gateway))
    database, migrations, workers = in_database
    states = {"database": database, "migrations": migrations, "temporal": temporal}
    return {**states, "workers": workers}


async def _database(gateway: Gateway) -> tuple[str, str, str]:
    """The states of the database, of its schema, and of the workers."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with gateway.database.reading() as session:
                await session.execute(text("SELECT 1"))
            revision = await find_revision(gateway.database.engine)
            is_writable = await gateway.write_check.is_writable()
            database = "ok" if is_writable else "read_only"
            if revision != NEWEST:
                return database, "outdated", "unknown"
            async with gateway.database.reading() as session:
                workers = "ok" if await has_workers(session) else "unavailable"
    except PreReleaseDatabaseError:
        return "ok", "outdated", "unknown"
    except Exception as error:
        if not is_outage(error):
            raise
        return "unavailable", "unknown", "unknown"
    return database, "ok", workers


async def _temporal(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            is_serving = await gateway.temporal.service_client.check_health(
                timeout=timedelta(seconds=PROBE_SECONDS)
            )
    except (RPCError, RuntimeError, TimeoutError):
        return "degraded"
    return "ok" if is_serving else "degraded"
