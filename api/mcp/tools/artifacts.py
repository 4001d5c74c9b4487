"""The tool that reads a stored file."""

import base64
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from mcp.types import ImageContent
from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool, ToolArguments, ToolResult
from api.mcp.results import cut_to_fit
from api.mcp.views import ArtifactView, view_artifact
from domain.files.artifacts import ArtifactPart
from services.artifacts import find_artifact, read_part

PART_BYTES = 40_000
"""Of a text in one result (chosen: half of what a result may have)."""

LARGEST_PICTURE_BYTES = 3 * 1024 * 1024
"""Of a picture in a result (chosen: models accept about 5 MB as base64)."""

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Media types of pictures that models see."""


class GetArtifactArguments(ToolArguments):
    """Which file to read, and from where."""

    artifact_id: UUID
    offset: Annotated[
        int,
        Field(ge=0, description="First byte of a text to read: `next_offset` of the last result."),
    ] = 0


class ArtifactContent(ArtifactView, ToolResult):
    """A file with a part of its text. A picture is a content block beside this."""

    text: Annotated[str | None, Field(description="null for a file that is not text.")]
    offset: int
    next_offset: Annotated[int | None, Field(description="null at the end of the file.")]
    url: Annotated[str, Field(description="The file over HTTP, with the same credentials.")]


def _shorten(part: ArtifactPart) -> ArtifactPart:
    """The part, or a shorter one whose text fits into a result."""
    text = part.text and cut_to_fit(part.text)
    if not text or text == part.text:
        return part
    return replace(part, text=text, end=part.offset + len(text.encode()))


async def _get_artifact(context: ToolContext, arguments: GetArtifactArguments) -> ArtifactContent:
    async with context.reading() as session:
        row = await find_artifact(session, context.caller, arguments.artifact_id)
    blobs = context.gateway.services.blobs
    part = _shorten(await read_part(blobs, row, arguments.offset, PART_BYTES))
    is_picture = row.media_type in PICTURES and row.size_bytes <= LARGEST_PICTURE_BYTES
    if is_picture:
        content = await blobs.read_bytes(row.sha256)
        data = base64.b64encode(content).decode("ascii")
        context.extra_content.append(ImageContent(data=data, mime_type=row.media_type))
    is_cut = part.text is not None and part.end < row.size_bytes
    next_offset = part.end if is_cut else None
    return ArtifactContent(
        **dict(view_artifact(row)),
        text=part.text,
        offset=arguments.offset,
        next_offset=next_offset,
        url=context.web_address(f"/api/v1/artifacts/{row.id}/content"),
        next_step=_describe(part.text, next_offset, is_picture=is_picture),
    )


def _describe(text: str | None, next_offset: int | None, *, is_picture: bool) -> str:
    if next_offset is not None:
        return f"The text continues: call get_artifact again with offset {next_offset}."
    if text is not None:
        return "This is the end of the file."
    if is_picture:
        return "The picture is in this result."
    return "The file is not text; give the user the url to download it."


GET_ARTIFACT = AgentTool(
    name="get_artifact",
    group="default",
    title="Read a file",
    description=(
        "Read a file that an execution saved (get_execution lists them). Text comes in parts of at "
        f"most {PART_BYTES} bytes: continue with offset = next_offset. Pictures come as pictures; "
        "for other files you get a url."
    ),
    arguments=GetArtifactArguments,
    result=ArtifactContent,
    handler=_get_artifact,
    is_read_only=True,
)
