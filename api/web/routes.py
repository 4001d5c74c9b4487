"""Interactive API documentation, from our own files: no CDN, no inline scripts."""

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

router = APIRouter(prefix="/docs", include_in_schema=False)

_FILES = files("api") / "web" / "static" / "swagger-ui"

SERVED = ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Swagger UI uses inline styles, and data URLs for icons."""

_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}


@router.get("")
async def page() -> Response:
    """The documentation page."""
    return FileResponse(str(_FILES / "index.html"), headers=_HEADERS)


@router.get("/{name}")
async def file(name: str) -> Response:
    """A static file of the page."""
    if name not in SERVED:
        raise HTTPException(404)
    return FileResponse(str(_FILES / name), headers=_HEADERS)
