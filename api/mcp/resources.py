"""Executions, their transcripts and reports, and artifacts as resources that clients can attach."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    BlobResourceContents,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from api.http.paging import ListQuery, next_cursor
from api.mcp.context import ToolContext, call_of, is_modern
from api.mcp.errors import protocol_error
from api.mcp.transcripts import write_transcript
from api.mcp.work import own_columns, read_execution
from api.reports.schemas import find_newest_report
from domain.errors import InvalidInputError, NotFoundError, PerdureError
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from persistence.sessions import timeline
from persistence.sessions.timeline import TimelineRange
from persistence.tables.executions import ExecutionRow
from reports.render import render
from services.artifacts import find_artifact

JSON = "application/json"
MARKDOWN = "text/markdown"

RESOURCE_NOT_FOUND = -32002
"""The code of the revisions before 2026-07-28."""

LONGEST_TRANSCRIPT = 500
"""Messages in one transcript (chosen: a client's model reads about as much)."""

LARGEST_BYTES = 10 * 1024 * 1024
"""Of an artifact as a resource, which is sent as one message (chosen)."""

Contents = TextResourceContents | BlobResourceContents
Read = Callable[[ToolContext, UUID, str], Awaitable[Contents]]


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """A kind of resource: its template, and how it is read by the id in its URI."""

    name: str
    template: str
    title: str
    description: str
    media_type: str | None
    read: Read

    def match(self, uri: str) -> UUID | None:
        """The id in the URI, if it is one of this kind."""
        pattern = re.escape(self.template).replace(r"\{id\}", "([0-9a-fA-F-]{36})")
        found = re.fullmatch(pattern, uri)
        try:
            return UUID(found[1]) if found else None
        except ValueError:
            return None

    def uri(self, key: object) -> str:
        """The URI for an id."""
        return self.template.replace("{id}", str(key))


async def _read_execution(context: ToolContext, key: UUID, uri: str) -> Contents:
    state = await read_execution(context, key)
    return TextResourceContents(uri=uri, mime_type=JSON, text=state.model_dump_json(indent=2))


async def _read_transcript(context: ToolContext, key: UUID, uri: str) -> Contents:
    columns = await own_columns(context, key)
    async with context.reading() as session:
        page = await timeline.list_messages(session, key, TimelineRange(LONGEST_TRANSCRIPT))
    text = write_transcript(columns["title"], page.rows, is_complete=page.next_after is None)
    return TextResourceContents(uri=uri, mime_type=MARKDOWN, text=text)


async def _read_report(context: ToolContext, key: UUID, uri: str) -> Contents:
    await own_columns(context, key)
    async with context.reading() as session:
        found = await find_newest_report(session, context.call, key)
    async with context.gateway.renderings:
        content = found.row.content
        made = await asyncio.to_thread(render, content, "markdown", ending=found.ending)
    return TextResourceContents(uri=uri, mime_type=MARKDOWN, text=made.decode())


async def _read_artifact(context: ToolContext, key: UUID, uri: str) -> Contents:
    async with context.reading() as session:
        row = await find_artifact(session, context.caller, key)
    if row.size_bytes > LARGEST_BYTES:
        raise InvalidInputError(
            f"The file has more than {LARGEST_BYTES} bytes; read it with get_artifact."
        )
    data = await context.gateway.services.blobs.read_bytes(row.sha256)
    if row.media_type.startswith("text/") or row.media_type.partition(";")[0] == JSON:
        text = data.decode(errors="replace")
        return TextResourceContents(uri=uri, mime_type=row.media_type, text=text)
    blob = base64.b64encode(data).decode("ascii")
    return BlobResourceContents(uri=uri, mime_type=row.media_type, blob=blob)


EXECUTION = ResourceKind(
    "execution",
    "perdure://executions/{id}",
    "Execution",
    "The state of an execution, with its result or the requests that it waits for.",
    JSON,
    _read_execution,
)
TRANSCRIPT = ResourceKind(
    "transcript",
    "perdure://executions/{id}/transcript",
    "Transcript",
    "The messages and tool calls of an execution.",
    MARKDOWN,
    _read_transcript,
)
REPORT = ResourceKind(
    "report",
    "perdure://executions/{id}/report",
    "Report",
    "The report of an execution, if its task asks for one.",
    MARKDOWN,
    _read_report,
)
ARTIFACT = ResourceKind(
    "artifact",
    "perdure://artifacts/{id}",
    "File",
    "A file that an execution saved.",
    None,
    _read_artifact,
)
KINDS = (EXECUTION, TRANSCRIPT, REPORT, ARTIFACT)


async def list_resources(
    ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
) -> ListResourcesResult:
    """The executions of the user, newest first, and their reports."""
    call = call_of(ctx)
    cursor = params.cursor if params else None
    try:
        window = ListQuery(cursor=cursor).window()
    except PerdureError as error:
        raise protocol_error(error) from error
    async with call.gateway.database.reading() as session:
        page = await queries.page(session, call.principal.user_id, ExecutionFilter(), window)
    listed = [resource for row in page.rows for resource in _resources_of(row)]
    return ListResourcesResult(resources=listed, next_cursor=next_cursor(page))


def _resources_of(row: ExecutionRow) -> list[Resource]:
    about = f"{row.status}, {row.created_at:%Y-%m-%d %H:%M} UTC"
    kinds = (EXECUTION, REPORT) if row.report_id else (EXECUTION,)
    return [
        Resource(
            uri=kind.uri(row.id),
            name=f"{kind.name} {row.id}",
            title=f"{kind.title}: {row.title}",
            description=about,
            mime_type=kind.media_type,
        )
        for kind in kinds
    ]


async def list_templates(
    _: ServerRequestContext[Any, Any], __: PaginatedRequestParams | None
) -> ListResourceTemplatesResult:
    """The kinds of resources."""
    return ListResourceTemplatesResult(
        resource_templates=[
            ResourceTemplate(
                uri_template=kind.template,
                name=kind.name,
                title=kind.title,
                description=kind.description,
                mime_type=kind.media_type,
            )
            for kind in KINDS
        ]
    )


async def read_resource(
    ctx: ServerRequestContext[Any, Any], params: ReadResourceRequestParams
) -> ReadResourceResult:
    """Read one resource of the user.

    Raises:
        MCPError: there is no such resource, or it can't be read.
    """
    context = ToolContext(call=call_of(ctx), request=ctx, tool_name=ctx.method)
    for kind in KINDS:
        if key := kind.match(params.uri):
            try:
                return ReadResourceResult(contents=[await kind.read(context, key, params.uri)])
            except NotFoundError as error:
                raise _missing(ctx, params.uri) from error
            except PerdureError as error:
                raise protocol_error(error) from error
    raise _missing(ctx, params.uri)


def _missing(ctx: ServerRequestContext[Any, Any], uri: str) -> MCPError:
    code = INVALID_PARAMS if is_modern(ctx) else RESOURCE_NOT_FOUND
    message = "Resource not found; resources/list names those that exist."
    return MCPError(code, message, {"uri": uri})
