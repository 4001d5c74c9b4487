"""Whatever anybody writes, wherever it stands, every format can be made of it and it stays text."""

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
from tests.reports import stories
from tests.reports.conftest import Reported
from tests.reports.page import read

KEPT = {"id", "kind", "status", "role", "lane", "started_at", "ended_at", "schema_version"}
"""Fields that are no free text, beside identifiers and moments."""

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


def filled(value: Any, text: str, name: str = "") -> Any:
    """The content with this text in place of every free one."""
    if isinstance(value, dict):
        return {key: filled(inner, text, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, text, name) for inner in value]
    is_free = isinstance(value, str) and name not in KEPT and not name.endswith(("_id", "_at"))
    return text if is_free and name != "at" else value


async def test_any_text_is_shown_and_does_nothing(reported: Reported) -> None:
    content = await reported(stories.ordinary)
    content["outcome"] |= {"error_code": None, "message": None}
    # Kinds of blocks decide what is shown, so they stay; of the rest every text is replaced.
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    def check(text: str) -> None:
        made = filled(content, text)
        read(render(made, "html"))
        assert render(made, "json").decode()
        markdown = render(made, "markdown").decode()
        kinds = {inner.type for t in reader.parse(markdown) for inner in (t, *(t.children or ()))}
        assert not kinds & {"html_block", "html_inline", "image"}
        data = to_typst_data(build_document(ReportContent.model_validate(made)))
        with as_file(files("reports") / "templates") as templates:
            assert typeset(str(templates), data).startswith(b"%PDF-")

    check()
