"""Artifacts: those that a step lists, and parts of their text, as tools and clients read them."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from domain.ids import new_id
from domain.tools.calls import SavedFile

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8."""


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A file in the artifact store, to be listed with its execution."""

    id: UUID
    kind: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    tool_call_id: UUID

    @classmethod
    def of(cls, file: SavedFile, *, kind: str, tool_call_id: UUID) -> Self:
        """The artifact that a tool's file becomes."""
        return cls(
            id=new_id(),
            kind=kind,
            name=file.name,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            tool_call_id=tool_call_id,
        )


@dataclass(frozen=True, slots=True)
class ArtifactPart:
    """The bytes of a file from `offset` to before `end`, which is between two characters.

    `text` is None if they are not text.
    """

    name: str
    media_type: str
    size_bytes: int
    offset: int
    end: int
    text: str | None


def count_partial(data: bytes) -> int:
    """How many bytes at the start are the end of a character that began before them."""
    most = min(len(data), _LONGEST_CHARACTER - 1)
    return next((place for place in range(most) if data[place] & 0xC0 != 0x80), most)  # noqa: PLR2004 - UTF-8


def decode_part(data: bytes) -> tuple[str | None, int]:
    """Return the text of bytes that may end within a character, and how many bytes it takes.

    None if they are not UTF-8, or contain NUL. The text of some bytes has at least one character.
    """
    for cut in range(min(_LONGEST_CHARACTER, len(data)) or 1):
        size = len(data) - cut
        try:
            text = data[:size].decode()
        except UnicodeDecodeError:
            continue
        return (None, len(data)) if "\0" in text else (text, size)
    return None, len(data)
