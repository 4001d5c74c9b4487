"""A report as HTML: one file without scripts, which requests nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from markupsafe import Markup, escape

from domain.text import harmless
from reports import palette
from reports.charts import Chart
from reports.nodes import Document, Node
from reports.templating import environment
from reports.text import PAGE_DEPTH, expand_text

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy of the page, in its meta tag; the API sends it as a header too."""

Writer = Callable[[Node], str]


def render_html(document: Document) -> bytes:
    """The report as a page that needs no other file."""
    template = environment().get_template("report.html.j2")
    page = template.render(document=document, css=_css(), policy=POLICY, write=_write_markup)
    return page.encode()


def render_drawing(chart: Chart) -> bytes:
    """A chart as an SVG file, with the style sheet of the page."""
    width = "100%" if chart.size is None else str(chart.size[0])
    return f"{chart.draw(width, style=_css())}\n".encode()


@cache
def _css() -> Markup:
    css = files("reports").joinpath("templates", "report.css").read_text("utf-8")
    return Markup(palette.css_variables() + css)  # noqa: S704 - our own files


def _write_markup(nodes: Iterable[Node]) -> Markup:
    return Markup(write_nodes(nodes))  # noqa: S704 - every text in it is escaped


def write_nodes(nodes: Iterable[Node]) -> str:
    """The HTML of these nodes."""
    return "".join([_WRITERS[node.kind](node) for node in nodes])


def _escape(text: str) -> str:
    return str(escape(harmless(text)))


def _element(tag: str, attributes: str = "") -> Writer:
    """A writer that puts the children into this element."""
    start, end = f"<{tag}{attributes}>", f"</{tag.split(maxsplit=1)[0]}>"
    return lambda node: f"{start}{write_nodes(node.children)}{end}"


def _link(node: Node) -> str:
    rel = "" if node.href.startswith("#") else ' rel="noopener noreferrer nofollow"'
    href = f' href="{_escape(node.href)}"' if node.href else ""
    return f"<a{rel}{href}>{write_nodes(node.children)}</a>"


def _status(node: Node) -> str:
    return f'<span class="pill {node.mark}">{write_nodes(node.children)}</span>'


def _heading(node: Node) -> str:
    return f"<h{node.level}>{write_nodes(node.children)}</h{node.level}>"


def _pre(node: Node) -> str:
    return f'<pre dir="auto" tabindex="0"><code>{_escape(node.text)}</code></pre>'


def _numbered_list(node: Node) -> str:
    start = f' start="{node.level}"' if node.level != 1 else ""
    return f"<ol{start}>{write_nodes(node.children)}</ol>"


def _text_block(node: Node) -> str:
    blocks = write_nodes(expand_text(node, depth=PAGE_DEPTH))
    return f'<div class="{node.kind}" dir="auto">{blocks}</div>'


def _table(node: Node) -> str:
    head, *body = node.children
    classes = [
        "num" if side == "right" else "what" if width == "1fr" else "word"
        for side, width in zip(node.align, node.widths, strict=True)
    ] or ["num" if "right" in cell.align else "" for cell in head.children]
    cells = zip(head.children, classes, strict=False)
    names = [f'<th scope="col"{_class(c)}>{write_nodes(cell.children)}</th>' for cell, c in cells]
    rows = "".join([_row(row, classes) for row in body if row.kind == "row"])
    foot = "".join([_row(row, classes) for row in body if row.kind == "foot"])
    table = f"<table><thead><tr>{''.join(names)}</tr></thead><tbody>{rows}</tbody>"
    table += f"<tfoot>{foot}</tfoot></table>" if foot else "</table>"
    if not node.text:
        return table
    label = _escape(node.text)
    return f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{table}</div>'


def _row(row: Node, classes: Sequence[str]) -> str:
    cells = []
    for cell, name in zip(row.children, classes, strict=False):
        inner = write_nodes(cell.children)
        if cell.kind == "head":
            cells.append(f'<th scope="row" dir="auto">{inner}</th>')
        else:
            side = "" if name == "num" else ' dir="auto"'
            cells.append(f"<td{_class(name)}{side}>{inner}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _figure(node: Node) -> str:
    drawing = node.chart.draw() if node.chart else ""
    if not node.title:
        return str(drawing)
    return f"<figure><figcaption>{write_nodes(node.title)}</figcaption>{drawing}</figure>"


def _graph(node: Node) -> str:
    """A drawing of its own width, which scrolls on a narrow screen."""
    if node.chart is None or node.chart.size is None:
        return ""
    label = _escape(node.chart.title)
    drawing = node.chart.draw(str(node.chart.size[0]))
    return f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{drawing}</div>'


def _fold(node: Node) -> str:
    summary, inside = write_nodes(node.title), write_nodes(node.children)
    return (
        f'<details class="{f"fold {node.mark}".strip()}"><summary>{summary}</summary>'
        f'<div class="inside">{inside}</div></details>'
    )


def _messages(node: Node) -> str:
    items = [
        _WRITERS[item.kind](item)
        if item.level
        else f'<li class="skipped">{write_nodes(item.children)}</li>'
        for item in node.children
    ]
    return f'<ol class="turns">{"".join(items)}</ol>'


def _message(node: Node) -> str:
    is_results, seq = node.kind == "results", node.level
    author, after = (write_nodes([part]) for part in node.title)
    return (
        f'<li id="message-{seq}" class="{node.kind if is_results else node.mark}">'
        f'<div class="who">{"" if is_results else author}'
        f'<a href="#message-{seq}" title="{node.text}">{seq} · {after}</a></div>'
        f'<div class="blocks">{write_nodes(node.children)}</div></li>'
    )


_WRITERS: Mapping[str, Writer] = {
    "text": lambda node: _escape(node.text),
    "code": lambda node: f"<code>{_escape(node.text)}</code>",
    "break": lambda _node: "<br>",
    "strong": _element("strong"),
    "em": _element("em"),
    "strike": _element("s"),
    "added": _element("ins"),
    "removed": _element("del"),
    **{tone: _element("span", f' class="{tone}"') for tone in ("muted", "good", "bad")},
    "status": _status,
    "link": _link,
    "p": _element("p", ' dir="auto"'),
    "h": _heading,
    "pre": _pre,
    "rule": lambda _node: "<hr>",
    "ul": _element("ul"),
    "ol": _numbered_list,
    "item": _element("li", ' dir="auto"'),
    "quote": _element("blockquote"),
    "table": _table,
    "figure": _figure,
    "graph": _graph,
    "beside": _element("div", ' class="figures"'),
    "prose": _text_block,
    "plain": _text_block,
    "fold": _fold,
    "messages": _messages,
    "message": _message,
    "results": _message,
}
