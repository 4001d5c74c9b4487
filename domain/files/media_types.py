"""The media type of a file, from its first bytes and its name.

The signatures are those of the MIME Sniffing Standard of the WHATWG (section 6, 2026). Types of
text have none: a text is what its name says.
"""

import mimetypes
import re

HEAD_BYTES = 512
"""How much of a file decides: more than the standard reads."""

BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

_SIGNATURES = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBPVP",
    "image/bmp": rb"BM....\x00\x00\x00\x00",
    "image/vnd.microsoft.icon": rb"\x00\x00\x01\x00",
    "audio/x-wav": rb"RIFF....WAVE",
    "audio/mpeg": rb"ID3",
    "audio/ogg": rb"OggS\x00",
    "video/mp4": rb"....ftyp",
    "video/webm": rb"\x1aE\xdf\xa3",
    "application/pdf": rb"%PDF-",
    "application/zip": rb"PK\x03\x04|PK\x05\x06",
    "application/gzip": rb"\x1f\x8b\x08",
    "application/x-7z-compressed": rb"7z\xbc\xaf\x27\x1c",
    "application/wasm": rb"\x00asm",
}
_COMPILED = {kind: re.compile(signature, re.DOTALL) for kind, signature in _SIGNATURES.items()}

_CONTAINERS = frozenset(
    {"application/zip", "application/gzip", "audio/ogg", "video/mp4", "video/webm"}
)
"""Formats with many types: an office document is a zip file."""


def find_media_type(name: str, head: bytes, given: str | None = None) -> str:
    """The type that was `given` or that the name has, if the first bytes agree, else their own.

    `head` has at least `HEAD_BYTES`, or the whole file.
    """
    wanted = given or mimetypes.guess_type(name)[0]
    found = next((kind for kind, pattern in _COMPILED.items() if pattern.match(head)), None)
    if found is None and wanted is not None and wanted not in _SIGNATURES:
        return wanted
    if found is None:
        return TEXT if _is_text(head) else BYTES
    is_more_exact = found in _CONTAINERS and wanted not in {None, BYTES, *_SIGNATURES}
    return wanted if is_more_exact and wanted is not None else found


def _is_text(head: bytes) -> bool:
    """Whether it is UTF-8 without NUL; its last character may be incomplete."""
    for cut in range(4):
        try:
            return bool(head) and "\0" not in head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
    return False
