"""A report as PDF, set by typst in a process of its own.

The template is a fixed file. All content of a report reaches it as data, which typst never reads as
markup. The fonts are those that typst includes (Libertinus Serif, DejaVu Sans Mono), and Noto for
other scripts and for emoji.

Typst can neither be interrupted nor limited from inside, so it runs in a child process with limits:
a text that makes it fail or take too long ends only that process.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from domain.errors import RenderingFailedError
from domain.text import harmless
from reports import palette
from reports.charts import PRINT_WIDTH, Chart
from reports.nodes import Document, Node
from reports.phrases import format_time
from reports.text import print_blocks
from reports.writers.typesetting import LONGEST_SECONDS

LONG_RUN = 28
"""A run of characters without a space that is this long may break anywhere (chosen)."""

BREAK_EVERY = 14
"""How often it may break (chosen)."""

ZERO_WIDTH_SPACE = "\u200b"

FULL_WIDTH, HALF_WIDTH = str(PRINT_WIDTH), "310"
"""Of a chart, in pixels: texts are then as large as those around them (chosen)."""

LONGEST_ADDRESS = 8000
"""Typst refuses a document with a longer link (its limit in bytes, version 0.15)."""

ENVIRONMENT = {"RAYON_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
"""Without these, the addresses that threads reserve grow with the number of cores."""


def render_pdf(document: Document) -> bytes:
    """The report as PDF.

    Raises:
        RenderingFailedError: typst failed, or took too much time or memory.
    """
    data = to_typst_data(document)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "reports.writers.typesetting"],
            input=data.encode(),
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
            env=ENVIRONMENT,
        )
    except subprocess.TimeoutExpired as error:
        raise RenderingFailedError(
            "Creating the PDF took too long. Request another format, which is faster."
        ) from error
    if done.returncode or not done.stdout:
        raise RenderingFailedError("The PDF could not be created. Request another format.")
    return done.stdout


def to_typst_data(document: Document) -> str:
    """The variables of the template, as JSON."""
    at = document.generated_at
    data = {
        "title": _breakable(document.title) or "Report",
        "status": document.status,
        "tone": document.tone,
        "kicker": f"{document.kind} report, {format_time(at)}",
        "written_at": (at.year, at.month, at.day, at.hour, at.minute, at.second),
        "facts": [(fact.name, fact.value, fact.note) for fact in document.facts],
        "sections": [
            {
                "mark": section.mark,
                "heading": _breakable(section.heading),
                "note": _to_json(section.note),
                "body": _to_json(print_blocks(section.body)),
            }
            for section in document.sections
        ],
        "colours": dict(palette.LIGHT),
    }
    return json.dumps(data, ensure_ascii=False)


def _to_json(nodes: Iterable[Node], chart_width: str = FULL_WIDTH) -> list[dict[str, Any]]:
    return [_node_to_json(node, chart_width) for node in nodes]


def _node_to_json(node: Node, chart_width: str) -> dict[str, Any]:
    """The fields that a node uses, with texts that fit on paper."""
    data: dict[str, Any] = {"kind": node.kind}
    for field in ("level", "mark", "align", "widths"):
        if value := getattr(node, field):
            data[field] = value
    if node.href and len(node.href.encode()) <= LONGEST_ADDRESS:  # otherwise only its text
        data["href"] = node.href
    if node.text:
        data["text"] = _breakable(node.text)
    if node.title:
        data["title"] = _to_json(node.title)
    if node.chart:
        width, data["share"] = _fit_chart(node.chart, chart_width)
        data["text"] = str(node.chart.draw(width))
        data["alt"] = f"{node.chart.title}. {node.chart.alt}"
    if node.children and node.kind not in {"message", "figure"}:
        width = HALF_WIDTH if node.kind == "beside" else chart_width
        data["children"] = _to_json(node.children, width)
    return data


def _fit_chart(chart: Chart, room: str) -> tuple[str, float]:
    """The width to draw a chart with, and its share of the width of the page or column."""
    if chart.size is None:
        return room, 1.0
    return str(chart.size[0]), chart.size[0] * chart.scale_in_print / PRINT_WIDTH


def _breakable(text: str) -> str:
    """A text without control characters, and without a run of characters wider than the page."""
    return " ".join(map(_break_run, harmless(text).split(" ")))


def _break_run(word: str) -> str:
    if len(word) < LONG_RUN:
        return word
    parts = (word[start : start + BREAK_EVERY] for start in range(0, len(word), BREAK_EVERY))
    return ZERO_WIDTH_SPACE.join(parts)
