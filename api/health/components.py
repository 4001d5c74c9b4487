"""The states of what the gateway needs: the database, its schema, Temporal."""

import asyncio
from datetime import timedelta

from sqlalchemy import text
from temporalio.service import RPCError

from api.gateway import Gateway
from persistence.db.migrate import NEWEST, PreReleaseDatabaseError, find_revision
from persistence.db.outages import is_outage

PROBE_SECONDS = 2.0
"""A check that takes longer fails; orchestrators check every few seconds (chosen)."""


async def check_components(gateway: Gateway) -> dict[str, str]:
    """The states of the database, of its schema and of Temporal; `ok` if they work."""
    (database, migrations), temporal = await asyncio.gather(_database(gateway), _temporal(gateway))
    return {"database": database, "migrations": migrations, "temporal": temporal}


async def _database(gateway: Gateway) -> tuple[str, str]:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with gateway.database.reading() as session:
                await session.execute(text("SELECT 1"))
            revision = await find_revision(gateway.database.engine)
            is_writable = await gateway.write_check.is_writable()
    except PreReleaseDatabaseError:
        return "ok", "outdated"
    except Exception as error:
        if not is_outage(error):
            raise
        return "unavailable", "unknown"
    return "ok" if is_writable else "read_only", "ok" if revision == NEWEST else "outdated"


async def _temporal(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            is_serving = await gateway.temporal.service_client.check_health(
                timeout=timedelta(seconds=PROBE_SECONDS)
            )
    except (RPCError, RuntimeError, TimeoutError):
        return "degraded"
    return "ok" if is_serving else "degraded"
