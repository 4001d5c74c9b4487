"""Responses with rendered reports: rendered in a thread, with limited concurrency and an ETag."""

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
"""Maximum length of a file name that every file system supports (chosen)."""

_HEADERS = {
    # Reports contain model and tool output; this policy prevents scripts and loading.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    # The report can still change when the execution ends.
    "Cache-Control": "private, no-cache",
}
_NOT_IN_NAMES = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored report with the outcome of its execution, if it has ended."""

    id: UUID
    title: str
    created_at: datetime
    content: Mapping[str, Any]
    ending: Ending | None


async def rendered(
    call: Call, report: Stored, name: str, *, shown: Literal["inline", "attachment"]
) -> Response:
    """Render the report in this format.

    Raises:
        InvalidInputError: the format does not exist.
        RenderingFailedError: the report cannot be rendered in this format.
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
    """An ETag from everything that affects the result: report, outcome, templates, public URL."""
    ending = "" if report.ending is None else json.dumps(asdict(report.ending))
    parts = "\n".join([str(report.id), name, base_url, version("perdure"), ending])
    return f'"{hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()}"'


def disposition(shown: str, report: Stored, suffix: str) -> str:
    """The Content-Disposition header (RFC 6266), with an ASCII fallback for the file name."""
    words = _NOT_IN_NAMES.sub("-", report.title)[:NAME_CHARS].strip("-").lower()
    ending = f"{report.created_at:%Y-%m-%d}.{suffix}"
    plain = _NOT_IN_NAMES.sub("-", words.encode("ascii", "ignore").decode()).strip("-")
    name = f"{words or 'report'}-{ending}"
    return (
        f'{shown}; filename="{plain or "report"}-{ending}"; '
        f"filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    )
