"""Text from models, tools and people as nodes: Markdown without HTML, only links to the web."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports.nodes import Node, muted, split_lines
from reports.phrases import count_of

PAGE_DEPTH = 20
"""As deep as the Markdown parser nests blocks (`maxNesting` of its CommonMark preset)."""

PRINT_DEPTH = 8
"""Deeper blocks are flattened in print: typst fails at some 16 nested blocks (measured)."""

_BLOCKS = {
    "paragraph_open": "p",
    "heading_open": "h",
    "bullet_list_open": "ul",
    "ordered_list_open": "ol",
    "list_item_open": "item",
    "blockquote_open": "quote",
    "table_open": "table",
    "tr_open": "row",
    "th_open": "cell",
    "td_open": "cell",
}
_INLINES = {"strong_open": "strong", "em_open": "em", "s_open": "strike", "link_open": "link"}
_PARENTS = {"item": ("ul", "ol"), "row": ("table",), "cell": ("row",)}
_LEVELS = {"ul": 2, "ol": 2, "table": 3}
"""Levels that a kind needs for itself and its parts."""

_LINKS = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)


class _Tree:
    """Nodes as they open and close.

    A node that would be too deep, or whose parent is missing, is left out; its children stay.
    """

    def __init__(self, depth: int) -> None:
        self.children: list[Node] = []
        self._depth = depth
        self._open: list[tuple[str, list[Node]]] = [("", self.children)]

    def open(self, node: Node) -> None:
        kind, siblings = self._open[-1]
        depth = len(self._open) + _LEVELS.get(node.kind, 1)
        fits = depth <= self._depth and kind in _PARENTS.get(node.kind, (kind,))
        if node.kind == "group" or not fits:
            self._open.append((kind, siblings))
            return
        children: list[Node] = []
        node.children = children
        siblings.append(node)
        self._open.append((node.kind, children))

    def close(self) -> None:
        self._open.pop()

    def add(self, *nodes: Node) -> None:
        self._open[-1][1].extend(nodes)

    def add_inlines(self, inlines: Sequence[Node]) -> None:
        """Add inline nodes; in a paragraph of their own if the open node takes blocks."""
        if self._open[-1][0] in {"p", "h", "cell"}:
            self.add(*inlines)
        else:
            self.add(Node("p", inlines))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False})
    return parser.enable(["table", "strikethrough"]).disable("image")


def parse_markdown(markdown: str, depth: int = PRINT_DEPTH) -> Sequence[Node]:
    """The blocks of a text in CommonMark with tables.

    Raw HTML stays text, pictures become links, and only links to the web keep their target.
    """
    tree = _Tree(depth)
    for token in _parser().parse(markdown):
        if token.nesting == 1:
            tree.open(_block(token))
        elif token.nesting == -1:
            tree.close()
        elif token.type == "inline":
            tree.add_inlines(_inlines(token.children or (), depth))
        elif token.type in {"fence", "code_block"}:
            tree.add(Node("pre", text=token.content.rstrip("\n")))
        elif token.type == "hr":
            tree.add(Node("rule"))
    return tree.children


def _block(token: Token) -> Node:
    kind = _BLOCKS.get(token.type, "group")
    level = 0
    if kind == "h":
        # The report itself has headings of the first two levels.
        level = min(int(token.tag[1]) + 2, 6)
    elif kind == "ol":
        level = int(token.attrGet("start") or 1)
    align = ["right"] if "right" in str(token.attrGet("style")) else []
    return Node(kind, level=level, align=align)


def _inlines(tokens: Iterable[Token], depth: int) -> Sequence[Node]:
    tree = _Tree(depth)
    for token in tokens:
        if token.nesting == 1:
            address = str(token.attrGet("href") or "")
            href = address if _LINKS.match(address) else ""
            tree.open(Node(_INLINES.get(token.type, "em"), href=href))
        elif token.nesting == -1:
            tree.close()
        elif token.type in {"hardbreak", "softbreak"}:
            # CommonMark would join the lines of a file list that the model repeats.
            tree.add(Node("break"))
        elif token.type == "code_inline":
            tree.add(Node("code", text=token.content))
        elif token.content:
            tree.add(Node("text", text=token.content))
    return tree.children


def expand_text(node: Node, *, depth: int = PRINT_DEPTH, limit: int = 0) -> Iterator[Node]:
    """The blocks of a `prose` or `plain` node, and a note on how much of it is left out.

    `limit` is the number of characters to show; 0 shows all.
    """
    shown = node.text[:limit] if limit else node.text
    yield from parse_markdown(shown, depth) if node.kind == "prose" else split_lines(shown)
    if left_out := node.chars - len(shown):
        yield note_left_out(left_out, "character")


def print_blocks(nodes: Iterable[Node]) -> Iterator[Node]:
    """The blocks as print shows them, where a reader can't open a fold."""
    for node in nodes:
        match node.kind:
            case "fold" | "graph":
                yield from print_blocks(node.brief)
            case "messages":
                yield from print_blocks(node.children)
            case "message":
                yield node
                yield from print_blocks(node.children)
            case "results":
                yield replace(node, kind="message")
                yield from print_blocks(node.brief)
            case "prose" | "plain":
                yield from expand_text(node, limit=node.limit)
            case _:
                yield node


def note_left_out(count: int, noun: str) -> Node:
    """A paragraph that says how many more of these are left out."""
    more = count_of(count, f"more {noun} is", f"more {noun}s are")
    return muted(f"{more} left out here.")
