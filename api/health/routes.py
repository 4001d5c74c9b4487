"""Whether the gateway lives and can serve, its metrics, and its front door; without a token."""

import asyncio
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from temporalio.service import RPCError

from api.gateway import Gateway
from persistence.db.migrate import NEWEST, PreReleaseDatabaseError, find_revision
from persistence.db.outages import is_outage

router = APIRouter(tags=["health"])

PROBE_SECONDS = 2.0
"""A probe that takes longer says no; orchestrators ask every few seconds (chosen)."""


@router.get("/", include_in_schema=False)
async def front_door() -> RedirectResponse:
    """Whoever opens the address `perdure up` prints finds the description of the API."""
    return RedirectResponse("/docs")


@router.get("/health/live")
async def live() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """Whether requests can be served: 503 without the database or with an old schema.

    Without Temporal they can: what is accepted is started later, so that is `degraded` only.
    """
    gateway: Gateway = request.app.state.gateway
    (database, migrations), temporal = await asyncio.gather(_database(gateway), _temporal(gateway))
    is_ready = database == migrations == "ok"
    facts = {
        "status": "ok" if is_ready else "unavailable",
        "database": database,
        "migrations": migrations,
        "temporal": temporal,
    }
    return JSONResponse(facts, 200 if is_ready else 503)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Prometheus metrics of this process."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _database(gateway: Gateway) -> tuple[str, str]:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with gateway.database.reading() as session:
                await session.execute(text("SELECT 1"))
            revision = await find_revision(gateway.database.engine)
    except PreReleaseDatabaseError:
        return "ok", "outdated"
    except Exception as error:
        if not is_outage(error):
            raise
        return "unavailable", "unknown"
    return "ok", "ok" if revision == NEWEST else "outdated"


async def _temporal(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            is_serving = await gateway.temporal.service_client.check_health(
                timeout=timedelta(seconds=PROBE_SECONDS)
            )
    except (RPCError, RuntimeError, TimeoutError):
        return "degraded"
    return "ok" if is_serving else "degraded"
