"""Health checks, metrics and the root path; these need no token."""

import asyncio
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from temporalio.service import RPCError

from api import links
from api.gateway import Gateway
from persistence.db.migrate import NEWEST, PreReleaseDatabaseError, find_revision
from persistence.db.outages import is_outage

router = APIRouter(tags=["health"])

PROBE_SECONDS = 2.0
"""A check that takes longer fails; orchestrators check every few seconds (chosen)."""


@router.get("/", include_in_schema=False)
async def redirect_root() -> RedirectResponse:
    """Redirect the address that `perdure up` prints to the inbox."""
    return RedirectResponse(links.INBOX)


@router.get("/health/live")
async def live() -> JSONResponse:
    """Report that the process responds."""
    return JSONResponse({"status": "ok"})


@router.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """Check the database with a read and a write, its schema and Temporal.

    Returns 503 if the database is unavailable or `read_only` (also if its disk is full), or its
    schema is outdated. If only Temporal is
    unavailable, returns 200 with `degraded`: requests are stored and started later.
    """
    gateway: Gateway = request.app.state.gateway
    (database, migrations), temporal = await asyncio.gather(_database(gateway), _temporal(gateway))
    facts = {"database": database, "migrations": migrations, "temporal": temporal}
    if database == migrations == "ok":
        return JSONResponse({"status": "ok", **facts})
    return JSONResponse({"status": "unavailable", **facts}, 503)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Return the Prometheus metrics of this process."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


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
