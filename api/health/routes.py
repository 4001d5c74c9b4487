"""Health checks, metrics and the root path; these need no token."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api import links
from api.health.components import check_components
from domain.health import ComponentState

router = APIRouter(tags=["health"])


@router.head("/", include_in_schema=False)
@router.get("/", include_in_schema=False)
async def redirect_root() -> RedirectResponse:
    """Redirect the address that `perdure up` prints to the inbox."""
    return RedirectResponse(links.INBOX)


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live")
async def live() -> JSONResponse:
    """Report that the process responds."""
    return JSONResponse({"status": ComponentState.OK})


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """Check the database with a read and a write, its schema, Temporal and the workers.

    Returns 503 if the database is unavailable or `read_only` (also if its disk is full), or its
    schema is outdated. If only Temporal is `degraded`, or no worker has announced itself for 5 s
    (`workers: unavailable`), returns 200: requests are stored, and executions start later.
    """
    facts = await check_components(request.app.state.gateway)
    if facts["database"] == facts["migrations"] == ComponentState.OK:
        return JSONResponse({"status": ComponentState.OK, **facts})
    return JSONResponse({"status": ComponentState.UNAVAILABLE, **facts}, 503)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Return the Prometheus metrics of this process, and those of the queue."""
    await request.app.state.gateway.queue_gauges.refresh()
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
