"""A report as PDF, set by typst in a process of its own.

The template is a fixed file; everything a report says reaches it as data, which typst never reads
as markup. Fonts are those that typst brings (Libertinus Serif, DejaVu Sans Mono); scripts that they
lack are drawn with the system's fonts, where it has some.

A process of its own, because typst can neither be interrupted nor bounded from inside: what a
report costs is taken from a child with limits, and what a text might provoke ends with it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from domain.errors import RenderingFailedError
from reports import palette
from reports.document import document
from reports.markup import visible
from reports.model import ReportContent
from reports.nodes import Document, Node, Section, as_json
from reports.typesetting import LONGEST_SECONDS

RUN = 28
"""A run of characters without a space that is as long as this may be broken anywhere (chosen)."""

EVERY = 14
"""How often, then (chosen)."""

BREAK = "\u200b"

ENVIRONMENT = {"RAYON_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
"""Else the addresses that threads reserve grow with the machine's cores, up to the limit."""


def render_pdf(report: ReportContent, base_url: str = "") -> bytes:
    """The report as PDF.

    Raises:
        RenderingFailedError: typst could not set it, or took too much time or memory.
    """
    data = data_of(document(report, base_url))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "reports.typesetting"],
            input=data.encode(),
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
            env=ENVIRONMENT,
        )
    except subprocess.TimeoutExpired as error:
        raise RenderingFailedError("The PDF took too long; other formats are quicker.") from error
    if done.returncode or not done.stdout:
        raise RenderingFailedError("The PDF can't be made; the report can be had otherwise.")
    return done.stdout


def data_of(made: Document) -> str:
    """What the template gets, as JSON."""
    data = {
        "title": _shown(made.title) or "Report",
        "status": made.status,
        "tone": made.tone,
        "kicker": made.kicker,
        "written_at": made.written_at,
        "facts": [(fact.name, fact.value, fact.note) for fact in made.facts],
        "sections": [_section(section) for section in made.sections],
        "colours": dict(palette.LIGHT),
    }
    return json.dumps(data, ensure_ascii=False)


def _section(section: Section) -> dict[str, Any]:
    return {
        "mark": section.mark,
        "heading": _shown(section.heading),
        "note": [_node(node) for node in section.note],
        "body": [_node(node) for node in section.body],
    }


def _node(node: Node) -> Mapping[str, Any]:
    return _printable(as_json(node))


def _printable(node: dict[str, Any]) -> dict[str, Any]:
    """The node with texts that fit on paper; a drawing stays as it is."""
    if "text" in node and node["kind"] != "figure":
        node["text"] = _shown(node["text"])
    for child in node.get("children", ()):
        _printable(child)
    return node


def _shown(text: str) -> str:
    """Nothing unseen, and no run of characters that would leave the page."""
    return " ".join(map(_broken, str(visible(text)).split(" ")))


def _broken(word: str) -> str:
    if len(word) < RUN:
        return word
    return BREAK.join(word[start : start + EVERY] for start in range(0, len(word), EVERY))
