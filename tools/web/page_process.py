"""The process that turns a page into Markdown; `tools.web.pages` starts it.

It reads one line, a `PageRequest` as JSON, and then the page; it writes a `PagePart` as JSON. Pages
are written by others, so the kernel limits the memory and the processor time of the process.
"""

import html
import json
import re
import resource
import sys
from typing import TypedDict

from tools.web.charsets import decode_text

MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space; a page of 5 MiB that consists of paragraphs needs a third (measured)."""

PROCESSOR_SECONDS = 20
"""A page of 5 MiB that consists of paragraphs needs 5 s (measured)."""


_TITLE = re.compile(r"<title\b[^>]{0,200}>([^<]{1,1000})</title", re.IGNORECASE)
_HEAD_CHARACTERS = 100_000
"""Where a title is searched (chosen: heads with style sheets have some ten thousand)."""


_TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*)[^<>]*?(/?)>", re.IGNORECASE)
_WITHOUT_END = frozenset(
    {
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param",
        "source", "track", "wbr", "li", "p", "dt", "dd", "option", "optgroup", "thead", "tbody",
        "tfoot", "tr", "td", "th", "colgroup", "rt", "rp",
    }
)  # fmt: skip
"""Elements without an end tag, or which another element ends (HTML standard, 13.1.2.4)."""

_MAX_DEPTH = 900
"""Of elements: the library leaves out what is deeper than about 1,020 (measured, 3.21.2)."""

_INVISIBLE = re.compile(r"<(script|style|template)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)


class PageRequest(TypedDict):
    """What to do with a page: `limit_bytes` of text (UTF-8) from the character `offset` on."""

    is_html: bool
    charset: str | None
    base_url: str
    offset: int
    limit_bytes: int


class PagePart(TypedDict):
    """A part of the text, the title, and how many characters the whole text has."""

    text: str
    title: str
    characters: int


def main() -> None:
    """Convert the page of the input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request: PageRequest = json.loads(sys.stdin.buffer.readline())
    part = convert(request, sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(part).encode())


def convert(request: PageRequest, content: bytes) -> PagePart:
    """Decode the page, convert HTML, and cut out the requested part."""
    text, title = decode_text(content, request["charset"]), ""
    if request["is_html"]:
        found = _TITLE.search(text[:_HEAD_CHARACTERS])
        title = " ".join(html.unescape(found[1]).split()) if found else ""
        is_deep = _depth(text) > _MAX_DEPTH
        text = _plain_text(text) if is_deep else _markdown(text, request["base_url"])
    rest = text[request["offset"] :][: request["limit_bytes"]]
    part = rest.encode("utf-8", "replace")[: request["limit_bytes"]].decode("utf-8", "ignore")
    return {"text": part, "title": title, "characters": len(text)}


def _depth(source: str) -> int:
    """Return how deep elements are nested, at least about."""
    depth = deepest = 0
    for end, name, is_closed in _TAG.findall(source):
        if is_closed or name.lower() in _WITHOUT_END:
            continue
        depth = max(depth - 1, 0) if end else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _plain_text(source: str) -> str:
    """Return the text without its format: for pages whose elements are nested too deep."""
    text = html.unescape(_TAG.sub(" ", _INVISIBLE.sub(" ", source)))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _markdown(source: str, base_url: str) -> str:
    from html_to_markdown import ConversionOptions, convert  # noqa: PLC0415 - only HTML needs it

    options = ConversionOptions(
        base_url=base_url, inline_data_media="alt_text_only", extract_metadata=False
    )
    return (convert(source.replace("\0", ""), options).content or "").strip()


if __name__ == "__main__":
    main()
