"""Any text in any field can be rendered in every format and has no effect as markup."""

from importlib.resources import as_file, files
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.document import build_document
from reports.model import ReportContent
from reports.render import render
from reports.writers.pdf import to_typst_data
from reports.writers.typesetting import typeset
from tests.reports import examples
from tests.reports.conftest import ReportOf
from tests.reports.html_page import read_page

KEPT = {"id", "kind", "status", "role", "lane", "started_at", "ended_at", "schema_version"}
"""Fields without free text, besides identifiers and times."""

PIECES = st.sampled_from(
    [
        *("#", "=", "-", "+ ", "* ", "_", "`", "```\n", "~~~", "> ", "|", "|---|\n", "\n", "\n\n"),
        *("[", "](", ")", "![", "<", "<b>", "</", "-->", "<!--", "&lt;", "&#0;", "\\", "$", "@"),
        *("    ", "\t", "\r", "1. ", "2) ", "http://a.b/", "www.a.b", "javascript:", "#read("),
        *("{{", "//", "\u202e", "\u200f", "\u200b", "\u0301" * 40, "漢", "ש", "ﷺ", "👩\u200d👧"),
        *("\0", "\x1b[3m", "\ud800"),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=25).map("".join)


def replace_texts(value: Any, text: str, name: str = "") -> Any:
    """The content with this text in place of every free text."""
    if isinstance(value, dict):
        return {key: replace_texts(inner, text, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [replace_texts(inner, text, name) for inner in value]
    is_free = isinstance(value, str) and name not in KEPT and not name.endswith(("_id", "_at"))
    return text if is_free and name != "at" else value


async def test_any_text_is_rendered_without_effect(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    content["outcome"] |= {"error_code": None, "message": None}
    # The kind of a block decides what is shown, so kinds are not replaced.
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    def check(text: str) -> None:
        made = replace_texts(content, text)
        read_page(render(made, "html"))
        assert render(made, "json").decode()
        markdown = render(made, "markdown").decode()
        kinds = {inner.type for t in reader.parse(markdown) for inner in (t, *(t.children or ()))}
        assert not kinds & {"html_block", "html_inline", "image"}
        data = to_typst_data(build_document(ReportContent.model_validate(made)))
        with as_file(files("reports") / "templates") as templates:
            assert typeset(str(templates), data).startswith(b"%PDF-")

    check()
