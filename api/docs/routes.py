"""The API's description to look at and try out, from our own files: no CDN, no inline code."""

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
"""Swagger UI writes styles into its elements, and draws its icons from data addresses."""

_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}


@router.get("")
async def page() -> Response:
    """The page."""
    return FileResponse(str(_FILES / "index.html"), headers=_HEADERS)


@router.get("/{name}")
async def file(name: str) -> Response:
    """One of the files it is made of."""
    if name not in SERVED:
        raise HTTPException(404)
    return FileResponse(str(_FILES / name), headers=_HEADERS)
