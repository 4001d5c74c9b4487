"""Makes text from tools, models and people safe to store and to display."""

import json
import re
from itertools import chain
from typing import Any

_PICTURES = 0x2400
_KEPT = frozenset(map(ord, "\t\n"))
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))

_CONTROLS: dict[int, str | None] = {
    **{c: chr(_PICTURES + c) for c in range(0x20) if c not in _KEPT},
    ord("\r"): None,
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys(chain(range(0x80, 0xA0), range(0xD800, 0xE000), (0xFFFE, 0xFFFF)), "\ufffd"),
    **{c: f"⟨U+{c:04X}⟩" for c in _BIDI},
}
"""Control characters become their symbols, bidirectional controls their code points ("Trojan
Source", CVE-2021-42574), and characters that HTML can't contain become U+FFFD."""


def clean(text: str) -> str:
    """Replace NUL and lone surrogates, which Postgres refuses, with U+FFFD."""
    return replace_surrogates(text.replace("\0", "\ufffd"))


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which no encoding allows, with U+FFFD; join the two of a pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def as_text(value: Any) -> str:
    """A JSON value as models and people read it: text as it is, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def escape_slack(text: str) -> str:
    """Escape Slack's three special characters (Slack, "Formatting text for app surfaces")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class TypedText(str):
    """Text that a person typed: a form shows it again without any change."""

    __slots__ = ()


def harmless(text: str) -> str:
    """Replace invisible control characters that affect terminals, documents or browsers."""
    return text.translate(_CONTROLS)


_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def strip_terminal_codes(output: str) -> str:
    """A program's output without the codes that colour a terminal."""
    return _TERMINAL.sub("", output)
