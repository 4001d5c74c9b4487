"""Static files of the pages: the style sheet, the scripts and the fonts.

The address of a file changes with its content, so browsers keep it for a year.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from reports.palette import css_variables

PREFIX = "/static"

STYLES = "pages.css"
SCRIPTS = ("htmx.js", "pages.js")
FONTS = ("next.woff2", "mono.woff2")

_FOLDER = files("api") / "web" / "static"

_SOURCES: Mapping[str, tuple[str, str]] = {
    # name: file, media type
    STYLES: ("pages.css", "text/css"),
    "htmx.js": ("vendor/htmx-4.0.1.min.js", "text/javascript"),
    "pages.js": ("pages.js", "text/javascript"),
    "next.woff2": ("vendor/atkinson-hyperlegible-next-latin-wght-normal.woff2", "font/woff2"),
    "mono.woff2": ("vendor/atkinson-hyperlegible-mono-latin-wght-normal.woff2", "font/woff2"),
}

_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}

router = APIRouter(prefix=PREFIX, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, and the same file compressed; fonts are compressed already."""

    content: bytes
    compressed: bytes | None
    media_type: str
    address: str


@cache
def find_asset(name: str) -> Asset:
    """The file with this name.

    Raises:
        KeyError: there is no such file.
    """
    path, media_type = _SOURCES[name]
    content = _FOLDER.joinpath(path).read_bytes()
    if name == STYLES:
        content = css_variables().encode() + _font_faces().encode() + content
    compressed = None if name in FONTS else gzip.compress(content, mtime=0)
    address = f"{PREFIX}/{name}?v={sha256(content).hexdigest()[:12]}"
    return Asset(content, compressed, media_type, address)


def address_of(name: str) -> str:
    """The address of a file."""
    return find_asset(name).address


def _font_faces() -> str:
    """The fonts. A page never waits for one, and never changes its layout when one arrives."""
    faces = (("Perdure Text", "next.woff2"), ("Perdure Code", "mono.woff2"))
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-weight: 200 800; font-display: optional; '
        f'src: url("{address_of(name)}") format("woff2"); }}\n'
        for family, name in faces
    )


@router.get("/{name}")
async def serve_asset(request: Request, name: str) -> Response:
    """A static file."""
    if name not in _SOURCES:
        raise HTTPException(404)
    asset = find_asset(name)
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers = {**_HEADERS, "Content-Encoding": "gzip"}
        return Response(asset.compressed, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=_HEADERS, media_type=asset.media_type)
