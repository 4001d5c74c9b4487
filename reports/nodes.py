"""What a report consists of: one tree of few kinds of nodes, which every writer writes.

Inline nodes:

| kind | holds |
|---|---|
| `text`, `code` | `text` |
| `strong`, `em`, `strike`, `muted`, `good`, `bad`, `added`, `removed` | inline `children` |
| `status` | inline `children`; `mark` is `good`, `bad`, `still` or `quiet` |
| `link` | inline `children`; `href` is an address, or `#` and a mark of this document |
| `break` | nothing: the line ends |

Blocks:

| kind | holds |
|---|---|
| `p`, `h` | inline `children`; a heading's `level` is 1 to 6 |
| `pre`, `rule` | `text` |
| `ul`, `ol`, `item`, `quote` | block `children`; the first number of `ol` is its `level` |
| `table` | rows; `text` is its label, `align` and `widths` are by column |
| `row`, `foot` | cells; the first row of a table is its head, a `foot` is its last |
| `cell`, `head` | inline `children`; a `head` names its row |
| `figure` | `chart`, inline `title`, and block `children` that Markdown has in its place |
| `beside` | figures next to each other |

Blocks that only a page shows as they are; `print_blocks` replaces them for the other formats:

| kind | holds |
|---|---|
| `prose`, `plain` | `text`, as Markdown or as it is; `chars` of the whole, `limit` in print |
| `graph` | `chart` with a size of its own, and `brief` blocks for print |
| `fold` | inline `title`, block `children` to open, `brief` blocks for print; `mark` |
| `messages` | messages |
| `message` | blocks; `level` is its number, `mark` its role, `title` its author and its time after
the start, `text` its time, `href` its address |
| `results` | a message with tool results only: as `message`, with `brief` blocks for print |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reports.charts import Chart


@dataclass(slots=True)
class Node:
    """One node; the module's docstring says which fields a kind uses."""

    kind: str
    children: Sequence["Node"] = ()
    text: str = ""
    href: str = ""
    level: int = 0
    mark: str = ""
    title: Sequence["Node"] = ()
    brief: Sequence["Node"] = ()
    align: Sequence[str] = ()
    widths: Sequence[str] = ()
    chars: int = 0
    limit: int = 0
    chart: Chart | None = None


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A part of the report; `note` is beside its `heading`.

    `label` is its name in the navigation, if that is another than the heading.
    """

    mark: str
    heading: str
    body: Sequence[Node]
    note: Sequence[Node] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A number at the top of a report."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report to be written: `kind` is what it is about, with a capital letter.

    `tone` is the colour of its status: `good`, `bad` or `still`.
    """

    title: str
    status: str
    tone: str
    generated_at: datetime
    facts: Sequence[Fact]
    sections: Sequence[ReportSection]
    kind: str = "Execution"


Row = Sequence[Node | str]


def text(value: object) -> Node:
    """A text."""
    return Node("text", text=str(value))


def code(value: object) -> Node:
    """A text in a monospaced font."""
    return Node("code", text=str(value))


def wrap(kind: str, *inlines: Node | str) -> Node:
    """A node of this kind around texts and other nodes."""
    return Node(kind, [text(i) if isinstance(i, str) else i for i in inlines])


def paragraph(*inlines: Node | str) -> Node:
    """A paragraph."""
    return wrap("p", *inlines)


def muted(*inlines: Node | str) -> Node:
    """A paragraph in a quiet colour."""
    return paragraph(wrap("muted", *inlines))


def link(href: str, label: str) -> Node:
    """A link; without a label it shows its address."""
    return Node("link", [text(label.strip() or href)], href=href)


def table(
    label: str,
    head: Sequence[str],
    rows: Sequence[Row],
    *,
    align: str,
    wide: int = 0,
    foot: Sequence[str] = (),
    has_row_heads: bool = False,
) -> Node:
    """A table; `align` has `l` or `r` for each column, the column number `wide` takes the room.

    `has_row_heads` says that the first cell of each row names the row.
    """
    first = "head" if has_row_heads else "cell"
    made = [Node("row", [wrap("cell", name) for name in head])]
    for row in rows:
        cells = [wrap("cell", cell) for cell in row]
        cells[0].kind = first
        made.append(Node("row", cells))
    if foot:
        cells = [wrap("cell", wrap("strong", cell)) for cell in foot]
        cells[0].kind = first
        made.append(Node("foot", cells))
    return Node(
        "table",
        made,
        text=label,
        align=["right" if letter == "r" else "left" for letter in align],
        widths=["1fr" if column == wide else "auto" for column in range(len(head))],
    )


def split_lines(written: str) -> Iterator[Node]:
    """A text as it is: a paragraph for each of its paragraphs, with its line breaks."""
    for part in filter(str.strip, written.split("\n\n")):
        inlines: list[Node] = []
        for line in part.strip("\n").split("\n"):
            inlines += [Node("break"), text(line)] if inlines else [text(line)]
        yield Node("p", inlines)
