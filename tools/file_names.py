"""Names and types of files that others send: of results of MCP tools, and of responses."""

import mimetypes
import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from tools.output import printable

BINARY = "application/octet-stream"
MAX_FILE_NAME = 255

_MEDIA_TYPE = re.compile(r"[!-~]{1,100}/[!-~][ -~]{0,99}")


def usable_media_type(media_type: str) -> str:
    """Return the media type, or that of any bytes if it is none."""
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else BINARY


def last_part(uri: str) -> str:
    """The last part of the path of an URI, which a server may write in any way."""
    try:
        return unquote(urlsplit(uri).path.rpartition("/")[2])
    except ValueError:
        return ""


def choose_name(name: str, media_type: str, taken: Collection[str] = ()) -> str:
    """Return a name that no other file of the result has, with an extension."""
    name = printable(name).replace("/", "_")
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        stem, extension = name, (mimetypes.guess_extension(media_type) or ".bin")[1:]
    stem = stem[: MAX_FILE_NAME - 40]
    names = (f"{stem}{n}.{extension[:30]}" for n in ("", *(f"-{n}" for n in range(2, 100))))
    return next(found for found in names if found not in taken)
