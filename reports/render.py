"""Render a stored report to any format.

The libraries of a format are loaded when it is first rendered, in the thread that renders: an API
server that renders no reports never loads them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from domain.errors import FieldProblem, InvalidInputError
from domain.executions.report_facts import Ending
from domain.plans.facts import PlanFacts
from domain.text import clean
from reports.model import ReportContent

if TYPE_CHECKING:
    from reports.nodes import Document


def _html(document: "Document") -> bytes:
    from reports.writers.html import render_html  # noqa: PLC0415 - as above

    return render_html(document)


def _markdown(document: "Document") -> bytes:
    from reports.writers.markdown import render_markdown  # noqa: PLC0415 - as above

    return render_markdown(document)


def _pdf(document: "Document") -> bytes:
    from reports.writers.pdf import render_pdf  # noqa: PLC0415 - as above

    return render_pdf(document)


@dataclass(frozen=True, slots=True)
class Format:
    """A format of a report; JSON, without `write`, is the content itself."""

    media_type: str
    suffix: str
    write: "Callable[[Document], bytes] | None"


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format("text/html; charset=utf-8", "html", _html),
        "pdf": Format("application/pdf", "pdf", _pdf),
        "json": Format("application/json", "json", None),
        "markdown": Format("text/markdown; charset=utf-8", "md", _markdown),
    }
)
"""By name."""


def format_of(name: str) -> Format:
    """The format of this name.

    Raises:
        InvalidInputError: there is no such format.
    """
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        problem = FieldProblem(("query", "format"), f"Must be one of: {known}.", "enum")
        detail = f"Report format {name[:40]!r} does not exist. Use one of: {known}."
        raise InvalidInputError(detail, [problem])
    return FORMATS[name]


def add_ending(content: Mapping[str, Any], ending: Ending | None) -> dict[str, Any]:
    """The content with the actual ending: a cancel may follow the report."""
    if ending is None:
        return dict(content)
    return {**content, "outcome": {**content["outcome"], **asdict(ending)}}


def render(
    content: Mapping[str, Any],
    report_format: str,
    *,
    ending: Ending | None = None,
) -> bytes:
    """The content of a stored report as a file of this format.

    `ending` is how the execution ended, None while it runs. Blocking: a long report takes some
    100 ms.

    Raises:
        InvalidInputError: there is no such format.
    """
    from reports.document import build_document  # noqa: PLC0415 - as above

    whole = add_ending(content, ending)
    return _write(
        format_of(report_format), whole, lambda: build_document(ReportContent.model_validate(whole))
    )


def render_plan(plan: PlanFacts, report_format: str) -> bytes:
    """The report of a plan as a file of this format. Blocking, as `render`.

    Raises:
        InvalidInputError: there is no such format.
    """
    from reports.plan_document import build_plan_document, plan_to_json  # noqa: PLC0415 - as above

    chosen = format_of(report_format)
    return _write(chosen, plan_to_json(plan), lambda: build_plan_document(plan))


def draw_plan(plan: PlanFacts) -> bytes:
    """The graph of a plan as an SVG of its own, in light or dark colours."""
    from reports.plan_document import graph_of  # noqa: PLC0415 - as above
    from reports.writers.html import render_drawing  # noqa: PLC0415 - as above

    return render_drawing(graph_of(plan))


def _write(chosen: Format, content: Mapping[str, Any], build: "Callable[[], Document]") -> bytes:
    """The document as a file, or the content, with the fields that this version does not know."""
    if chosen.write is None:
        return clean(json.dumps(content, ensure_ascii=False, indent=2)).encode()
    return chosen.write(build())
