"""Query parameters and response bodies of workspace files."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.http.paging import TimelineQuery

FileKind = Literal["file", "directory", "link", "other"]

FilePath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        description="A path in the workspace, such as `out/report.md`.",
    ),
]


class DirectoryQuery(TimelineQuery):
    """The directory and the page of its entries."""

    path: FilePath = "."


class FileQuery(BaseModel):
    """The file to download."""

    model_config = ConfigDict(extra="forbid")

    path: FilePath


class ArchiveQuery(BaseModel):
    """The directory to download."""

    model_config = ConfigDict(extra="forbid")

    path: FilePath = "."


class FileRead(BaseModel):
    """An entry of a directory. Use `path` in other requests. Only files have a size."""

    model_config = ConfigDict(frozen=True)

    path: str
    type: FileKind
    size_bytes: int | None
    modified_at: datetime
