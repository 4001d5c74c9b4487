"""The states of what executions need: the database, its schema, Temporal, a worker."""

import asyncio
from datetime import timedelta

from sqlalchemy import text
from temporalio.service import RPCError

from api.gateway import Gateway
from domain.health import ComponentState
from persistence.db.migrate import NEWEST, PreReleaseDatabaseError, find_revision
from persistence.db.outages import is_outage
from services.hosts import has_workers

PROBE_SECONDS = 2.0
"""A check that takes longer fails; orchestrators check every few seconds (chosen)."""


async def check_components(gateway: Gateway) -> dict[str, ComponentState]:
    """The states of the database, of its schema, of Temporal and of the workers.

    `workers` are `unavailable` if no worker has announced itself for some seconds.
    """
    in_database, temporal = await asyncio.gather(_check_database(gateway), _check_temporal(gateway))
    database, migrations, workers = in_database
    states = {"database": database, "migrations": migrations, "temporal": temporal}
    return {**states, "workers": workers}


async def _check_database(
    gateway: Gateway,
) -> tuple[ComponentState, ComponentState, ComponentState]:
    """The states of the database, of its schema, and of the workers."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with gateway.database.reading() as session:
                await session.execute(text("SELECT 1"))
            revision = await find_revision(gateway.database.engine)
            is_writable = await gateway.write_check.is_writable()
            database = ComponentState.OK if is_writable else ComponentState.READ_ONLY
            if revision != NEWEST:
                return database, ComponentState.OUTDATED, ComponentState.UNKNOWN
            async with gateway.database.reading() as session:
                is_served = await has_workers(session)
    except PreReleaseDatabaseError:
        return ComponentState.OK, ComponentState.OUTDATED, ComponentState.UNKNOWN
    except Exception as error:
        if not is_outage(error):
            raise
        return ComponentState.UNAVAILABLE, ComponentState.UNKNOWN, ComponentState.UNKNOWN
    workers = ComponentState.OK if is_served else ComponentState.UNAVAILABLE
    return database, ComponentState.OK, workers


async def _check_temporal(gateway: Gateway) -> ComponentState:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            is_serving = await gateway.temporal.service_client.check_health(
                timeout=timedelta(seconds=PROBE_SECONDS)
            )
    except (RPCError, RuntimeError, TimeoutError):
        return ComponentState.DEGRADED
    return ComponentState.OK if is_serving else ComponentState.DEGRADED
