"""Text of models, tools and people made safe to show: Markdown without HTML, controls visible."""

import re
from collections.abc import Iterable, Iterator
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from domain.text import harmless

_LINKS = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def visible(value: object) -> object:
    """A text without anything unseen that acts; safe markup stays safe. Other values as they are.

    Applied to every value a template prints.
    """
    return harmless(value) if isinstance(value, str) else value


def plain(text: str) -> str:
    """Output of a program without the colours it asked its terminal for."""
    return _TERMINAL.sub("", text)


def markdown(text: str) -> Markup:
    """CommonMark with tables as HTML.

    Raw HTML stays text, pictures become links, and only links to the web keep their target.
    """
    parser = _parser()
    rendered: str = parser.renderer.render(tokens(text), parser.options, {})
    return Markup(rendered)  # noqa: S704 - made by the parser, which escapes every text


def tokens(text: str) -> list[Token]:
    """The tokens of a text in CommonMark with tables, made harmless."""
    parsed = _parser().parse(text)
    for token in _all(parsed):
        _tame(token)
    return parsed


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False})
    return parser.enable(["table", "strikethrough"]).disable("image")


def _all(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _tame(token: Token) -> None:
    if token.type in {"heading_open", "heading_close"}:
        # The report's own headings are of the first two levels.
        token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    elif token.type == "link_open":
        address = str(token.attrGet("href") or "")
        token.attrs = {"rel": "noopener noreferrer nofollow"}
        if _LINKS.match(address):
            token.attrs["href"] = address
