"""Markdown of models as a tree of nodes: bounded in depth, without HTML, links to the web only."""

from collections.abc import Iterable, Sequence

from markdown_it.token import Token

from reports.markup import tokens
from reports.nodes import Node

MAX_DEPTH = 8
"""Deeper structure is flattened: typst gives up at some 16 nested blocks (measured)."""

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
_ROOM = {"ul": 2, "ol": 2, "table": 3}
"""Levels that a kind needs below itself."""


class _Tree:
    """It grows: what finds no room, or no parent of its kind, is left out round its own."""

    def __init__(self) -> None:
        self.children: list[Node] = []
        self._open: list[tuple[str, list[Node]]] = [("", self.children)]

    def open(self, node: Node) -> None:
        kind, siblings = self._open[-1]
        depth = len(self._open) + _ROOM.get(node.kind, 1)
        fits = depth <= MAX_DEPTH and kind in _PARENTS.get(node.kind, (kind,))
        if node.kind == "group" or not fits:
            self._open.append((kind, siblings))
            return
        held: list[Node] = []
        made = Node(node.kind, held, node.text, node.href, node.level, node.align)
        siblings.append(made)
        self._open.append((node.kind, held))

    def close(self) -> None:
        self._open.pop()

    def add(self, *nodes: Node) -> None:
        self._open[-1][1].extend(nodes)

    def add_words(self, words: Sequence[Node]) -> None:
        """Words stand in a paragraph, a heading or a cell, and nowhere else."""
        if self._open[-1][0] in {"p", "h", "cell"}:
            self.add(*words)
        else:
            self.add(Node("p", words))


def prose(markdown: str) -> Sequence[Node]:
    """The blocks of a text."""
    tree = _Tree()
    for token in tokens(markdown):
        _block(tree, token)
    return tree.children


def _block(tree: _Tree, token: Token) -> None:
    if token.nesting == 1:
        tree.open(_opened(token))
    elif token.nesting == -1:
        tree.close()
    elif token.type == "inline":
        tree.add_words(_words(token.children or ()))
    elif token.type in {"fence", "code_block"}:
        tree.add(Node("pre", text=token.content.rstrip("\n")))
    elif token.type == "hr":
        tree.add(Node("rule"))


def _opened(token: Token) -> Node:
    kind = _BLOCKS.get(token.type, "")
    level = 0
    if not kind:
        return Node("group")
    if kind == "h":
        level = int(token.tag[1])
    elif kind == "ol":
        level = int(token.attrGet("start") or 1)
    align = ["right"] if "right" in str(token.attrGet("style")) else []
    return Node(kind, level=level, align=align)


def _words(inline: Iterable[Token]) -> Sequence[Node]:
    tree = _Tree()
    for token in inline:
        if token.nesting == 1:
            tree.open(Node(_INLINES.get(token.type, "em"), href=str(token.attrGet("href") or "")))
        elif token.nesting == -1:
            tree.close()
        elif token.type in {"hardbreak", "softbreak"}:
            # A listing that the model repeats stays one: CommonMark would join its lines.
            tree.add(Node("break"))
        elif token.type == "code_inline":
            tree.add(Node("code", text=token.content))
        elif token.content:
            tree.add(Node("text", text=token.content))
    return tree.children
