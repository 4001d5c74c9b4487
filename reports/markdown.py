"""A report as GitHub-flavoured Markdown. Every text is escaped; only our own structure acts."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from reports.document import document
from reports.markup import visible
from reports.model import ReportContent
from reports.nodes import Document, Node, Section

_SPECIAL = re.compile(r"[\\`*\[\]|~#]|<(?=[\w/!?])|&(?=[#\w])|(?<![^\W_])_|_(?![^\W_])|!\Z")
"""What acts within a line. An underscore inside a word does not; a mark of exclamation does before
a link, which may follow the text."""
_STARTS = re.compile(r"(?:[+\-=>:]|\d+[.)])")
"""What acts at the beginning of a line, in addition."""
_BLANKS = re.compile(r"\s+")
_BACKTICKS = re.compile(r"`+")
_MARKS = {"strong": "**", "em": "*", "strike": "~~"}
HIGHEST_NUMBER = 999_999_999
"""Of a list's item (CommonMark, section 5.2)."""


def render_markdown(report: ReportContent, base_url: str = "") -> bytes:
    """The report as one Markdown document."""
    lines = "\n".join(_document(document(report, base_url)))
    return f"{lines.rstrip()}\n".encode()


def _document(made: Document) -> Iterator[str]:
    yield f"# {escaped(made.title) or 'Report'}"
    yield ""
    yield f"**{escaped(made.status)}** · {escaped(made.kicker)}"
    yield ""
    for fact in made.facts:
        note = f" ({escaped(fact.note)})" if fact.note else ""
        yield f"- {escaped(fact.name)}: **{escaped(fact.value)}**{note}"
    for section in made.sections:
        yield ""
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.heading)}"
    if note := words(section.note):
        yield ""
        yield f"*{note}*" if "*" not in note else note
    yield from _blocks(section.body)


def _blocks(nodes: Sequence[Node]) -> Iterator[str]:
    """Each block behind an empty line."""
    last, is_other = "", False
    for node in nodes:
        # Two lists, one behind the other, would be read as one if their marks were the same.
        is_other = node.kind == last and not is_other
        last = node.kind
        yield ""
        yield from _block(node, is_other=is_other)


def _block(node: Node, *, is_other: bool) -> Iterator[str]:
    if node.kind in {"ul", "ol"}:
        for place, item in enumerate(node.children):
            number = min(node.level + place, HIGHEST_NUMBER)
            mark = "-*"[is_other] if node.kind == "ul" else f"{number}{'.)'[is_other]}"
            yield from _item(mark, item)
    else:
        yield from _WRITERS[node.kind](node)


def _paragraph(node: Node) -> Iterator[str]:
    yield from map(_begun, words(node.children).split("\n"))


def _heading(node: Node) -> Iterator[str]:
    yield f"{'#' * max(node.level, 4)} {_on_one_line(node.children) or 'Heading'}"


def _message(node: Node) -> Iterator[str]:
    yield from (f"### Message {node.level}", "")
    yield f"*{_on_one_line(node.children)}* · [record]({node.href})"


def _quote(node: Node) -> Iterator[str]:
    yield from (f"> {line}".rstrip() for line in _inner(node))


def _rule(_node: Node) -> Iterator[str]:
    yield "---"


def _figure(node: Node) -> Iterator[str]:
    yield f"*{escaped(node.href)}*"


def _inner(node: Node) -> Iterator[str]:
    """What a block holds, without the empty line before the first."""
    lines = _blocks(node.children)
    next(lines, None)
    yield from lines


def _item(mark: str, item: Node) -> Iterator[str]:
    indent = " " * (len(mark) + 1)
    lines = _inner(item)
    yield f"{mark} {next(lines, '')}".rstrip()
    yield from (f"{indent}{line}".rstrip() for line in lines)


def _fence(node: Node) -> Iterator[str]:
    """A fence longer than any run of backticks in the text."""
    lines = str(visible(node.text)).split("\n")
    longest = max((len(run) for run in _BACKTICKS.findall(node.text)), default=0)
    fence = "`" * max(longest + 1, 3)
    yield from (fence, *lines, fence)


def _table(node: Node) -> Iterator[str]:
    rows = [[_on_one_line(cell.children) for cell in row.children] for row in node.children]
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


def words(nodes: Sequence[Node]) -> str:
    """Inline nodes, in several lines where they hold breaks."""
    lines = "".join(map(_word, nodes)).strip().split("\n")
    return "\n".join(line.strip() for line in lines)


def _on_one_line(nodes: Sequence[Node]) -> str:
    return words(nodes).replace("\\\n", " ")


def _word(node: Node) -> str:
    match node.kind:
        case "text":
            return escaped(node.text, keep_edges=True)
        case "code":
            return _code(node.text)
        case "break":
            return "\\\n"
        case "link":
            inner = words(node.children)
            return f"[{inner or 'link'}]({_address(node.href)})" if node.href else inner
        case kind:
            inner = "".join(map(_word, node.children))
            mark = _MARKS.get(kind, "")
            bare = inner.strip()
            if not mark or not bare:
                return inner
            return inner.replace(bare, f"{mark}{bare}{mark}", 1)


def _code(text: str) -> str:
    """A code span; where that can't hold the text, the text escaped."""
    line = _BLANKS.sub(" ", str(visible(text))).strip()
    if not line:
        return ""
    if "`" in line or "|" in line:
        return escaped(line)
    return f"`{line}`"


def _address(href: str) -> str:
    """An address in a link's parentheses."""
    return re.sub(r"[\s()<>\\|]", lambda found: f"%{ord(found[0]):02X}", str(visible(href)))


def escaped(text: str, *, keep_edges: bool = False) -> str:
    """Words that mean nothing but themselves, on one line."""
    line = _BLANKS.sub(" ", str(visible(text)))
    line = line if keep_edges else line.strip()
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", line)


def _begun(line: str) -> str:
    """A line that begins no list, quote, heading or table."""
    start = _STARTS.match(line)
    if start is None:
        return line
    return f"{line[: start.end() - 1]}\\{line[start.end() - 1 :]}"
