"""Output of commands: stored up to a limit, and sent to the model in part."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from domain.errors import ToolInputError
from domain.tools.calls import SavedFile

_SAMPLE_BYTES = 8192
"""How much of the start decides whether output is text (`git` reads 8,000 bytes)."""

_BINARY_SHARE = 0.1
"""Share of undecodable and control characters above which output is not text (chosen: `find
-print0` is below it, images and archives are far above)."""

_BINARY_COUNT = 16
"""Number of such characters that are always allowed: a short text in another encoding is text."""

_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
"""Continuation bytes of UTF-8, which start no character."""

_TEXT_CONTROLS = frozenset("\t\n\v\f\r\b\x1b\0")


class Spool:
    """A file that stores output up to a limit, and counts the discarded bytes.

    The context manager deletes it at the end, unless it was saved for the store.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        """Create the file, readable only for our user."""
        self.path = directory / f"output-{os.urandom(8).hex()}"
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._room = limit
        self._is_kept = False
        self.stored_bytes = 0
        self.discarded_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if not self._is_kept:
            self.path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Store as much as fits; a full disk discards output too, because the command has run."""
        kept = chunk[: self._room]
        try:
            written = os.write(self._fd, kept) if kept else 0
        except OSError:
            written = self._room = 0
        self._room -= written
        self.stored_bytes += written
        self.discarded_bytes += len(chunk) - written

    def save(self, *, is_text: bool) -> SavedFile:
        """Pass the file on for the store. Blocking: it is read once for its sha256."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._is_kept = True
        return SavedFile(
            name="output.txt" if is_text else "output.bin",
            media_type="text/plain; charset=utf-8" if is_text else "application/octet-stream",
            path=self.path,
            size_bytes=self.stored_bytes,
            sha256=digest,
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """Output for the model, and whether it is complete."""

    text: str
    is_whole: bool
    is_text: bool


def show(spool: Spool, preview_bytes: int) -> Shown:
    """The start and the end of the output; for binary output only its size. Blocking."""
    half = preview_bytes // 2
    with spool.path.open("rb") as file:
        head = file.read(max(preview_bytes, _SAMPLE_BYTES))
        if is_binary(head[:_SAMPLE_BYTES]):
            text = f"(binary output of {spool.stored_bytes:,} bytes)"
            return Shown(text + _describe_discarded(spool), is_whole=False, is_text=False)
        if spool.stored_bytes <= preview_bytes:
            return Shown(decode(head) + _describe_discarded(spool), is_whole=True, is_text=True)
        file.seek(-half, os.SEEK_END)
        tail = file.read(half)
    left_out = f"\n\n(… {spool.stored_bytes - 2 * half:,} bytes left out here …)\n\n"
    text = decode(head[:half]) + left_out + decode(_skip_broken_character(tail))
    return Shown(text + _describe_discarded(spool), is_whole=False, is_text=True)


def decode(raw: bytes) -> str:
    """Decode bytes to text that JSON parsers and Postgres accept: no NUL, no lone surrogate."""
    return raw.decode("utf-8", "replace").replace("\0", "\N{SYMBOL FOR NULL}")


def encode(text: str) -> bytes:
    """Encode text as UTF-8.

    Raises:
        ToolInputError: it contains a lone surrogate, which is not a character.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ToolInputError("UTF-8 can't encode the lone surrogate in this text.") from None


def printable(text: str) -> str:
    """Make any string such text; undecodable bytes of file names become U+FFFD."""
    try:
        return decode(os.fsencode(text))
    except UnicodeEncodeError:
        return decode(text.encode("utf-8", "replace"))


def is_binary(sample: bytes) -> bool:
    """Whether the bytes are probably not text."""
    text = sample.decode("utf-8", "replace")
    odd = sum(
        c == "\N{REPLACEMENT CHARACTER}" or (c < " " and c not in _TEXT_CONTROLS) for c in text
    )
    nul = text.count("\0")
    return odd + nul > max(_BINARY_COUNT, _BINARY_SHARE * len(text))


def _skip_broken_character(raw: bytes) -> bytes:
    """Drop the rest of a character that was split."""
    return raw.lstrip(_CONTINUATION_BYTES)


def _describe_discarded(spool: Spool) -> str:
    if not spool.discarded_bytes:
        return ""
    return f"\n(… {spool.discarded_bytes:,} more bytes were printed and discarded)"
