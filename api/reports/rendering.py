"""Responses with a report as a file, which is rendered in a thread, a few at a time."""

import asyncio
import hashlib
import json
import re
from dataclasses import asdict
from importlib.metadata import version
from typing import Literal
from urllib.parse import quote

from fastapi import Response

from api.http.request_context import Call
from api.http.responses import known
from api.reports.schemas import FoundReport
from persistence.tables.sessions import ReportRow
from reports.render import format_of, render

NAME_CHARS = 80
"""Of the name of a file: every file system accepts it (chosen)."""

_HEADERS = {
    # A report quotes models and tools; nothing that they wrote can run or load anything.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    # The end of the execution may still be added.
    "Cache-Control": "private, no-cache",
}
_NOT_IN_NAMES = re.compile(r"[\W_]+")


async def render_file(
    call: Call, found: FoundReport, name: str, *, disposition: Literal["inline", "attachment"]
) -> Response:
    """Respond with the report as a file of this format.

    Raises:
        InvalidInputError: there is no such format.
        RenderingFailedError: it cannot be rendered in this format.
    """
    chosen = format_of(name)
    tag = _tag(found, name)
    if unchanged := known(call.request, tag):
        return unchanged
    async with call.gateway.renderings:
        made = await asyncio.to_thread(render, found.row.content, name, ending=found.ending)
    headers = {
        **_HEADERS,
        "ETag": tag,
        "Content-Disposition": _disposition(disposition, found.row, chosen.suffix),
    }
    return Response(made, headers=headers, media_type=chosen.media_type)


def _tag(found: FoundReport, name: str) -> str:
    """Return a tag of all that a file depends on: report, format, ending, version of Perdure."""
    ending = "" if found.ending is None else json.dumps(asdict(found.ending))
    parts = "\n".join([str(found.row.id), name, version("perdure"), ending])
    return f'"{hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()}"'


def _disposition(kind: str, row: ReportRow, suffix: str) -> str:
    """Return the Content-Disposition (RFC 6266), with a name in ASCII for old clients."""
    words = _NOT_IN_NAMES.sub("-", row.title)[:NAME_CHARS].strip("-").lower()
    ending = f"{row.created_at:%Y-%m-%d}.{suffix}"
    plain = _NOT_IN_NAMES.sub("-", words.encode("ascii", "ignore").decode()).strip("-")
    name = f"{words or 'report'}-{ending}"
    return (
        f'{kind}; filename="{plain or "report"}-{ending}"; '
        f"filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    )
