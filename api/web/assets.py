"""Static files of the pages: the style sheet, the scripts, the fonts and the icons.

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

ICON = "icon.svg"
MOST_IN_ICON = 9
"""Open requests that an icon can show; `pages.js` chooses the icon."""

ICONS: Mapping[str, str] = {
    ICON: "",
    **{f"icon-{count}.svg": str(count) for count in range(1, MOST_IN_ICON + 1)},
    f"icon-{MOST_IN_ICON + 1}.svg": f"{MOST_IN_ICON}+",
}
"""The icons of the pages by name, with the number of open requests that each shows."""

_MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20">'
    "<style>.p{stroke:#1f1d1a}@media(prefers-color-scheme:dark){.p{stroke:#f2efe9}}</style>"
    '<path class="p" d="M3 17V3h7.5a4.75 4.75 0 0 1 0 9.5H7" fill="none" stroke-width="3.2"/>'
    '<circle cx="7" cy="12.5" r="2.4" fill="#c8602f"/>'
)
_BADGE = (
    '<circle cx="13.6" cy="13.6" r="6.4" fill="#b3261e"/>'
    '<text x="13.6" y="16.9" font-family="sans-serif" font-size="9.4" font-weight="700" '
    'text-anchor="middle" fill="#fff">'
)

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

router = APIRouter(include_in_schema=False)


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
    if name in ICONS:
        content, media_type = _draw_icon(ICONS[name]).encode(), "image/svg+xml"
    else:
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


def _draw_icon(count: str) -> str:
    """The mark of Perdure, with the number of open requests unless it is empty."""
    return f"{_MARK}{f'{_BADGE}{count}</text>' if count else ''}</svg>"


def _font_faces() -> str:
    """The fonts. A page never waits for one, and never changes its layout when one arrives."""
    faces = (("Perdure Text", "next.woff2"), ("Perdure Code", "mono.woff2"))
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-weight: 200 800; font-display: optional; '
        f'src: url("{address_of(name)}") format("woff2"); }}\n'
        for family, name in faces
    )


@router.get(f"{PREFIX}/{{name}}")
async def serve_asset(request: Request, name: str) -> Response:
    """A static file."""
    if name not in _SOURCES and name not in ICONS:
        raise HTTPException(404)
    asset = find_asset(name)
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers = {**_HEADERS, "Content-Encoding": "gzip"}
        return Response(asset.compressed, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=_HEADERS, media_type=asset.media_type)


@router.get("/favicon.ico")
async def serve_icon(request: Request) -> Response:
    """The icon, at the address that browsers know for what is not a page of ours."""
    return await serve_asset(request, ICON)
