"""Decodes texts from the web: what the server, the text itself or its first bytes say."""

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})"
    rb"|<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{2,40})",
    re.IGNORECASE,
)
_SEARCHED_BYTES = 1024
"""Where a page declares its character set (HTML standard, 13.2.3.2)."""

_WINDOWS = "cp1252"
_READ_AS = {"iso8859-1": _WINDOWS, "ascii": _WINDOWS, "gb2312": "gb18030", "gbk": "gb18030"}
"""Character sets that browsers read as larger ones (WHATWG Encoding)."""

_NOT_FOR_TEXTS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
"""Codecs of Python that are not character sets of texts on the web."""


def decode_text(content: bytes, charset: str | None = None) -> str:
    """Decode a text. `charset` is that of the header `Content-Type`; bad bytes become U+FFFD."""
    for mark, codec in _MARKS:
        if content.startswith(mark):
            return content.decode(codec, "replace")
    found = _DECLARED.search(content[:_SEARCHED_BYTES])
    declared = (found[1] or found[2]).decode("ascii") if found else None
    codec = _codec_named(charset) or _codec_named(declared) or _guess(content)
    return content.decode(codec, "replace")


def _codec_named(label: str | None) -> str | None:
    try:
        name = codecs.lookup(label or "").name
        "".encode(name)  # a LookupError if it is no character set
    except (LookupError, ValueError):
        return None
    name = name.replace("_", "-")
    return None if name in _NOT_FOR_TEXTS else _READ_AS.get(name, name)


def _guess(content: bytes) -> str:
    """UTF-8 if it is valid; its last character may be incomplete."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return _WINDOWS
    return "utf-8"
