"""A report as GitHub-flavoured Markdown. Every text is escaped, so it has no effect as markup."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from domain.text import harmless
from reports import phrases
from reports.nodes import Document, Node, ReportSection
from reports.text import print_blocks

_SPECIAL = re.compile(r"[\\`*\[\]|~#]|<(?=[\w/!?])|&(?=[#\w])|(?<![^\W_])_|_(?![^\W_])|!\Z")
"""What acts as markup within a line. An underscore inside a word has none; an exclamation mark has
one before a link, which may follow the text."""
_STARTS = re.compile(r"(?:[+\-=>:]|\d+[.)])")
"""What acts as markup at the start of a line, in addition."""
_BLANKS = re.compile(r"\s+")
_BACKTICKS = re.compile(r"`+")
_MARKS = {"strong": "**", "em": "*", "strike": "~~", "removed": "~~"}
HIGHEST_NUMBER = 999_999_999
"""Of a list item (CommonMark, section 5.2)."""


def render_markdown(document: Document) -> bytes:
    """The report as one Markdown document."""
    lines = "\n".join(_document(document))
    return f"{lines.rstrip()}\n".encode()


def _document(document: Document) -> Iterator[str]:
    yield f"# {escape(document.title) or 'Report'}"
    yield ""
    created_at = phrases.format_time(document.generated_at)
    yield f"**{document.status}** · {document.kind} report, {created_at}"
    yield ""
    for fact in document.facts:
        note = f" ({escape(fact.note)})" if fact.note else ""
        yield f"- {escape(fact.name)}: **{escape(fact.value)}**{note}"
    for section in document.sections:
        yield ""
        yield from _section(section)


def _section(section: ReportSection) -> Iterator[str]:
    yield f"## {escape(section.heading)}"
    if note := _inlines(section.note):
        yield ""
        yield f"*{note}*" if "*" not in note else note
    yield from write_blocks(print_blocks(section.body))


def write_blocks(nodes: Iterable[Node]) -> Iterator[str]:
    """The lines of these blocks, an empty line before each."""
    last, is_other = "", False
    for node in nodes:
        # Two lists in a row would be read as one if their marks were the same.
        is_other = node.kind == last and not is_other
        last = node.kind
        yield ""
        yield from _block(node, is_other=is_other)


def _block(node: Node, *, is_other: bool) -> Iterator[str]:
    if node.kind in {"ul", "ol"}:
        for number, item in enumerate(node.children, node.level):
            shown = min(number, HIGHEST_NUMBER)
            mark = "-*"[is_other] if node.kind == "ul" else f"{shown}{'.)'[is_other]}"
            yield from _item(mark, item)
    else:
        yield from _WRITERS[node.kind](node)


def _paragraph(node: Node) -> Iterator[str]:
    yield from map(_escape_start, _inlines(node.children).split("\n"))


def _heading(node: Node) -> Iterator[str]:
    yield f"{'#' * max(node.level, 4)} {_join_inlines(node.children) or 'Heading'}"


def _message(node: Node) -> Iterator[str]:
    """The heading of a message; its blocks follow it."""
    yield from (f"### Message {node.level}", "")
    yield f"*{', '.join(map(_inline, node.title))}*"


def _quote(node: Node) -> Iterator[str]:
    yield from (f"> {line}".rstrip() for line in _inner(node))


def _rule(_node: Node) -> Iterator[str]:
    yield "---"


def _figure(node: Node) -> Iterator[str]:
    if node.chart:
        yield f"*{escape(f'{node.chart.title}. {node.chart.alt}')}*"
    yield from write_blocks(node.children)


def _inner(node: Node) -> Iterator[str]:
    """The lines of a node's blocks, without the empty line before the first."""
    lines = write_blocks(node.children)
    next(lines, None)
    yield from lines


def _item(mark: str, item: Node) -> Iterator[str]:
    indent = " " * (len(mark) + 1)
    lines = _inner(item)
    yield f"{mark} {next(lines, '')}".rstrip()
    yield from (f"{indent}{line}".rstrip() for line in lines)


def _fence(node: Node) -> Iterator[str]:
    """A fence that is longer than any run of backticks in the text."""
    longest = max((len(run) for run in _BACKTICKS.findall(node.text)), default=0)
    fence = "`" * max(longest + 1, 3)
    yield from (fence, *harmless(node.text).split("\n"), fence)


def _table(node: Node) -> Iterator[str]:
    rows = [[_join_inlines(cell.children) for cell in row.children] for row in node.children]
    width = max(map(len, rows), default=0)
    if not width:
        return
    align = node.align or [next(iter(cell.align), "left") for cell in node.children[0].children]
    sides = [*align, *["left"] * width][:width]
    head, *body = [[*row, *[""] * (width - len(row))] for row in rows]
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---:' if side == 'right' else '---' for side in sides)} |"
    yield from (f"| {' | '.join(row)} |" for row in body)


_WRITERS: Mapping[str, Callable[[Node], Iterator[str]]] = {
    "p": _paragraph,
    "h": _heading,
    "message": _message,
    "pre": _fence,
    "rule": _rule,
    "quote": _quote,
    "table": _table,
    "figure": _figure,
    "beside": _inner,
}


def _inlines(nodes: Sequence[Node]) -> str:
    """Inline nodes, on several lines if they contain breaks."""
    lines = "".join(map(_inline, nodes)).strip().split("\n")
    return "\n".join(line.strip() for line in lines)


def _join_inlines(nodes: Sequence[Node]) -> str:
    return _inlines(nodes).replace("\\\n", " ")


def _inline(node: Node) -> str:
    match node.kind:
        case "text":
            return escape(node.text, keep_edges=True)
        case "code":
            return _code(node.text)
        case "break":
            return "\\\n"
        case "link":
            inner = _inlines(node.children)
            return f"[{inner or 'link'}]({_address(node.href)})" if node.href else inner
        case kind:
            inner = "".join(map(_inline, node.children))
            mark = _MARKS.get(kind, "")
            bare = inner.strip()
            if not mark or not bare:
                return inner
            return inner.replace(bare, f"{mark}{bare}{mark}", 1)


def _code(text: str) -> str:
    """A code span, or the escaped text if a code span can't hold it."""
    line = _BLANKS.sub(" ", harmless(text)).strip()
    if not line:
        return ""
    if "`" in line or "|" in line:
        return escape(line)
    return f"`{line}`"


def _address(href: str) -> str:
    """An address for the parentheses of a link."""
    return re.sub(r"[\s()<>\\|]", lambda found: f"%{ord(found[0]):02X}", harmless(href))


def escape(text: str, *, keep_edges: bool = False) -> str:
    """A text on one line, without any effect in Markdown."""
    line = _BLANKS.sub(" ", harmless(text))
    line = line if keep_edges else line.strip()
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def _escape_start(line: str) -> str:
    """A line that starts no list, quote, heading or table."""
    start = _STARTS.match(line)
    if start is None:
        return line
    return f"{line[: start.end() - 1]}\\{line[start.end() - 1 :]}"
