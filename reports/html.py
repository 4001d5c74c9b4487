"""The HTML of a report: one file, no script, no request to anywhere."""

from functools import cache
from importlib.resources import files

from markupsafe import Markup

from reports import palette
from reports.addresses import Addresses
from reports.charts import charts, turns
from reports.model import ReportContent
from reports.templating import environment

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy of the page, in its meta tag; who serves it sends it as a header too."""


def render_html(report: ReportContent, base_url: str = "") -> bytes:
    """The report as a page by itself."""
    page = environment().get_template("report.html.j2")
    text = page.render(
        report=report,
        css=_css(),
        policy=POLICY,
        addresses=Addresses(report.subject.execution_id, base_url),
        calls={call.tool_use_id: call for call in report.tool_calls},
        shown_messages={message.seq for message in report.transcript},
        charts=charts(report),
        turns=turns,
        waited_ms=sum(request.waited_ms for request in report.input_requests),
    )
    return text.encode()


@cache
def _css() -> Markup:
    css = files("reports").joinpath("templates", "report.css").read_text("utf-8")
    return Markup(palette.variables() + css)  # noqa: S704 - our own files
