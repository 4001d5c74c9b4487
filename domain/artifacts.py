"""Artifacts: parts of their text, as tools and clients read them."""

from dataclasses import dataclass

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8."""


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


def decode_part(data: bytes) -> tuple[str | None, int]:
    """Return the text of bytes that may end within a character, and how many bytes it takes.

    None if they are not UTF-8, or contain NUL.
    """
    for cut in range(_LONGEST_CHARACTER):
        size = len(data) - cut
        try:
            text = data[:size].decode()
        except UnicodeDecodeError:
            continue
        return (None, len(data)) if "\0" in text else (text, size)
    return None, len(data)
