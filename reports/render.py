"""Render a stored report to any format.

The libraries of a format are loaded when it is first rendered, in the thread that renders: an API
server that renders no reports never loads them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from domain.errors import FieldProblem, InvalidInputError
from domain.report_facts import Ending
from domain.text import clean
from reports.model import ReportContent


def _json(content: Mapping[str, Any]) -> bytes:
    """The content as it is stored, with the fields that this version does not know."""
    return clean(json.dumps(content, ensure_ascii=False, indent=2)).encode()


def _html(content: Mapping[str, Any]) -> bytes:
    from reports.writers.html import render_html  # noqa: PLC0415 - as above

    return render_html(ReportContent.model_validate(content))


def _markdown(content: Mapping[str, Any]) -> bytes:
    from reports.writers.markdown import render_markdown  # noqa: PLC0415 - as above

    return render_markdown(ReportContent.model_validate(content))


def _pdf(content: Mapping[str, Any]) -> bytes:
    from reports.writers.pdf import render_pdf  # noqa: PLC0415 - as above

    return render_pdf(ReportContent.model_validate(content))


@dataclass(frozen=True, slots=True)
class Format:
    """A format of a report."""

    media_type: str
    suffix: str
    render: Callable[[Mapping[str, Any]], bytes]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format("text/html; charset=utf-8", "html", _html),
        "pdf": Format("application/pdf", "pdf", _pdf),
        "json": Format("application/json", "json", _json),
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
    return format_of(report_format).render(add_ending(content, ending))
