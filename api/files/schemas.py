"""Files of a workspace."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.http.paging import StoryQuery

FileKind = Literal["file", "directory", "link", "other"]

FilePath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        description="A path in the workspace, such as `out/report.md`.",
    ),
]


class DirectoryQuery(StoryQuery):
    """Which directory of the workspace, and which part of it."""

    path: FilePath = "."


class FileQuery(BaseModel):
    """Which file of the workspace."""

    model_config = ConfigDict(extra="forbid")

    path: FilePath


class ArchiveQuery(BaseModel):
    """Which directory of the workspace."""

    model_config = ConfigDict(extra="forbid")

    path: FilePath = "."


class FileRead(BaseModel):
    """One name of a directory. `path` is what the other routes take; only a file has a size."""

    model_config = ConfigDict(frozen=True)

    path: str
    type: FileKind
    size_bytes: int | None
    modified_at: datetime
