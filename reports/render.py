"""Rendering a stored report to the format that is asked for.

Each format brings its libraries when it is rendered first, in the thread that renders: a gateway
that nobody asks for a report never loads them.
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


def _json(content: Mapping[str, Any], _base_url: str) -> bytes:
    """As it is stored: a part that this version does not know is passed on."""
    return clean(json.dumps(content, ensure_ascii=False, indent=2)).encode()


def _html(content: Mapping[str, Any], base_url: str) -> bytes:
    from reports.html import render_html  # noqa: PLC0415 - as above

    return render_html(ReportContent.model_validate(content), base_url)


def _markdown(content: Mapping[str, Any], base_url: str) -> bytes:
    from reports.markdown import render_markdown  # noqa: PLC0415 - as above

    return render_markdown(ReportContent.model_validate(content), base_url)


def _pdf(content: Mapping[str, Any], base_url: str) -> bytes:
    from reports.pdf import render_pdf  # noqa: PLC0415 - as above

    return render_pdf(ReportContent.model_validate(content), base_url)


@dataclass(frozen=True, slots=True)
class Format:
    """A format a report can have."""

    media_type: str
    suffix: str
    render: Callable[[Mapping[str, Any], str], bytes]


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
        InvalidInputError: there is none.
    """
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        problem = FieldProblem(("query", "format"), f"Must be one of: {known}.", "enum")
        detail = f"A report can't be had as {name[:40]!r}; the formats are: {known}."
        raise InvalidInputError(detail, [problem])
    return FORMATS[name]


def ended(content: Mapping[str, Any], ending: Ending | None) -> dict[str, Any]:
    """The content with the end as it came: a cancel can come between a report and the end."""
    if ending is None:
        return dict(content)
    return {**content, "outcome": {**content["outcome"], **asdict(ending)}}


def render(
    content: Mapping[str, Any],
    report_format: str,
    *,
    ending: Ending | None = None,
    base_url: str = "",
) -> bytes:
    """A stored report's content as a file of this format.

    `ending` is how the execution ended, once it has. Blocking: a long report takes some 100 ms.

    Raises:
        InvalidInputError: there is no such format.
    """
    return format_of(report_format).render(ended(content, ending), base_url)
