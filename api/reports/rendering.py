"""Responses with a report as a file, which is rendered in a thread, a few at a time."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query, Response

from api.http.request_context import Call
from api.http.responses import etag, respond_if_known
from api.reports.schemas import FoundReport
from domain.plans.facts import PlanFacts
from reports.render import draw_plan, format_of, render, render_plan

FormatName = Annotated[
    str | None,
    Query(alias="format", max_length=40, description="html, pdf, json or markdown."),
]
FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            "text/html": {"schema": {"type": "string"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {},
            "text/markdown": {"schema": {"type": "string"}},
        },
    }
}
"""The formats of reports in OpenAPI."""

SVG = "image/svg+xml"

DRAWING_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {SVG: {"schema": {"type": "string"}}}}
}
"""A picture in OpenAPI."""

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
    tag = _tag(found, name)
    if unchanged := respond_if_known(call.request, tag):
        return unchanged
    row = found.row
    write = partial(render, row.content, name, ending=found.ending)
    headers = {"ETag": tag, **_name_file(disposition, row.title, row.created_at, name)}
    return await _respond(call, write, headers, name)


async def render_plan_file(call: Call, plan: PlanFacts, name: str) -> Response:
    """Respond with the report of a plan, as it is now, as a file of this format.

    Raises:
        InvalidInputError: there is no such format.
        RenderingFailedError: it cannot be rendered in this format.
    """
    headers = _name_file("inline", plan.title, plan.read_at, name)
    return await _respond(call, partial(render_plan, plan, name), headers, name)


async def render_plan_drawing(call: Call, plan: PlanFacts) -> Response:
    """Respond with the graph of a plan as SVG; 304 if the client already has this picture."""
    made = await _render(call, partial(draw_plan, plan))
    tag = etag(made)
    return respond_if_known(call.request, tag) or Response(
        made, headers={**_HEADERS, "ETag": tag}, media_type=SVG
    )


async def _respond(
    call: Call, write: Callable[[], bytes], headers: Mapping[str, str], name: str
) -> Response:
    made = await _render(call, write)
    return Response(made, headers={**_HEADERS, **headers}, media_type=format_of(name).media_type)


async def _render(call: Call, write: Callable[[], bytes]) -> bytes:
    async with call.gateway.renderings:
        return await asyncio.to_thread(write)


def _tag(found: FoundReport, name: str) -> str:
    """Return a tag of all that a file depends on: report, format, ending, version of Perdure."""
    ending = "" if found.ending is None else json.dumps(asdict(found.ending))
    parts = "\n".join([str(found.row.id), name, version("perdure"), ending])
    return f'"{hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()}"'


def _name_file(kind: str, title: str, at: datetime, format_name: str) -> Mapping[str, str]:
    """Return the Content-Disposition (RFC 6266), with a name in ASCII for old clients."""
    words = _NOT_IN_NAMES.sub("-", title)[:NAME_CHARS].strip("-").lower()
    ending = f"{at:%Y-%m-%d}.{format_of(format_name).suffix}"
    plain = _NOT_IN_NAMES.sub("-", words.encode("ascii", "ignore").decode()).strip("-")
    name = f"{words or 'report'}-{ending}"
    value = (
        f'{kind}; filename="{plain or "report"}-{ending}"; '
        f"filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    )
    return {"Content-Disposition": value}
