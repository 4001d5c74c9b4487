"""What a printed report consists of: a tree of few kinds of nodes, written as PDF or Markdown.

| kind | holds |
|---|---|
| `text`, `code` | `text` |
| `strong`, `em`, `strike`, `muted`, `good`, `bad` | inline `children` |
| `link` | inline `children`; `href` is an address, or `#` and a mark of this document |
| `break` | nothing: the line ends |
| `p`, `h` | inline `children`; a heading's `level` is 1 to 6 |
| `pre`, `rule` | `text` |
| `ul`, `ol`, `item`, `quote` | block `children`; the first number of `ol` is its `level` |
| `table`, `row`, `cell` | rows, the first of them the head; `align` and `widths` by column |
| `figure` | `text` is an SVG, `href` its text alternative, `children` the caption |
| `beside` | figures that stand side by side |
| `message` | the heading of a message, `level` its number, which is its mark too |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One node; the module's docstring says which fields a kind uses."""

    kind: str
    children: Sequence["Node"] = ()
    text: str = ""
    href: str = ""
    level: int = 0
    align: Sequence[str] = ()
    widths: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the document with a heading; `note` says how much of it is shown."""

    mark: str
    heading: str
    note: Sequence[Node]
    body: Sequence[Node]


@dataclass(frozen=True, slots=True)
class Fact:
    """A number at the head of a report."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A report to be printed. `tone` is how its status is coloured: `good`, `bad` or `still`."""

    title: str
    status: str
    tone: str
    kicker: str
    facts: Sequence[Fact]
    sections: Sequence[Section]
    written_at: tuple[int, ...]
    """Year to second, UTC."""


def text(value: object) -> Node:
    """Words."""
    return Node("text", text=str(value))


def code(value: object) -> Node:
    """Words of a program."""
    return Node("code", text=str(value))


def of(kind: str, *inlines: Node | str) -> Node:
    """A node around words and other nodes."""
    return Node(kind, tuple(text(i) if isinstance(i, str) else i for i in inlines))


def p(*inlines: Node | str) -> Node:
    """A paragraph."""
    return of("p", *inlines)


def lines(said: str) -> Iterator[Node]:
    """What a person wrote: a paragraph for each, lines as they are."""
    for paragraph in filter(str.strip, said.split("\n\n")):
        words: list[Node] = []
        for line in paragraph.strip("\n").split("\n"):
            words += [Node("break"), text(line)] if words else [text(line)]
        yield Node("p", words)


def link(href: str, *inlines: Node | str) -> Node:
    """A link."""
    return Node("link", of("link", *inlines).children, href=href)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Node | str]],
    *,
    align: str,
    widths: Sequence[str] = (),
) -> Node:
    """A table; `align` has a letter for each column: `l` or `r`."""
    sides = ["right" if letter == "r" else "left" for letter in align]
    cells = [[of("cell", cell) for cell in row] for row in [head, *rows]]
    return Node("table", [Node("row", row) for row in cells], align=sides, widths=widths)


def as_json(node: Node) -> dict[str, Any]:
    """The node without what it does not use."""
    found: dict[str, Any] = {"kind": node.kind}
    for field in ("text", "href", "level", "align", "widths"):
        if value := getattr(node, field):
            found[field] = value
    if node.children:
        found["children"] = [as_json(child) for child in node.children]
    return found
