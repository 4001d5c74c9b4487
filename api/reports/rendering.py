"""Answers that are a rendered report: off the event loop, few at a time, known by a tag."""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import Response

from api.http.request_context import Call
from api.http.responses import known
from domain.report_facts import Ending
from reports.render import format_of, render

NAME_CHARS = 80
"""Of a file's name: every file system takes it (chosen)."""

_HEADERS = {
    # A report quotes what models and tools wrote; whatever gets through runs and loads nothing.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    # The end of the execution may still be added to it.
    "Cache-Control": "private, no-cache",
}
_NOT_IN_NAMES = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored report with the end of its execution, if it has ended."""

    id: UUID
    title: str
    created_at: datetime
    content: Mapping[str, Any]
    ending: Ending | None


async def rendered(
    call: Call, report: Stored, name: str, *, shown: Literal["inline", "attachment"]
) -> Response:
    """The report as a file of this format.

    Raises:
        InvalidInputError: there is no such format.
        RenderingFailedError: it can't be rendered so.
    """
    chosen = format_of(name)
    base_url = (call.gateway.settings.public_url or "").rstrip("/")
    tag = _tag(report, name, base_url)
    if unchanged := known(call.request, tag):
        return unchanged
    async with call.gateway.renderings:
        made = await asyncio.to_thread(
            render, report.content, name, ending=report.ending, base_url=base_url
        )
    headers = {
        **_HEADERS,
        "ETag": tag,
        "Content-Disposition": disposition(shown, report, chosen.suffix),
    }
    return Response(made, headers=headers, media_type=chosen.media_type)


def _tag(report: Stored, name: str, base_url: str) -> str:
    """What a rendering depends on: the stored report, the end, our templates, the addresses."""
    ending = "" if report.ending is None else json.dumps(asdict(report.ending))
    parts = "\n".join([str(report.id), name, base_url, version("perdure"), ending])
    return f'"{hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()}"'


def disposition(shown: str, report: Stored, suffix: str) -> str:
    """What a browser does with the file, and its name (RFC 6266): also for who reads only ASCII."""
    words = _NOT_IN_NAMES.sub("-", report.title)[:NAME_CHARS].strip("-").lower()
    ending = f"{report.created_at:%Y-%m-%d}.{suffix}"
    plain = _NOT_IN_NAMES.sub("-", words.encode("ascii", "ignore").decode()).strip("-")
    name = f"{words or 'report'}-{ending}"
    return (
        f'{shown}; filename="{plain or "report"}-{ending}"; '
        f"filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    )
