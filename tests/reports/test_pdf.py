"""PDF: its content, that it is accessible, and that no text in it has an effect as markup."""

import json
from typing import Any

import pytest

from domain.errors import RenderingFailedError
from reports.document import build_document
from reports.model import ReportContent
from reports.render import render
from reports.writers import pdf
from tests.reports import examples
from tests.reports.conftest import ReportOf
from tests.reports.pdf_file import addresses_of, inner_links_of, open_pdf, text_of

WORLDWIDE = (
    "Größenwahn – naïve façade, Ελληνικά, Кириллица, 漢字かな交じり文, 한국어, עברית, العربية, "  # noqa: RUF001 - letters of others are meant
    "हिन्दी, 👩‍👩‍👧‍👦 🎉, ∑∞≠, "
)


async def report_with_answer(report_of: ReportOf, text: str) -> dict[str, Any]:
    content = await report_of(examples.ordinary)
    content["outcome"]["text"] = {"text": text, "chars": len(text)}
    return content


async def test_pdf_shows_the_execution(report_of: ReportOf) -> None:
    made = render(await report_of(examples.ordinary), "pdf")
    text = text_of(made)
    for shown in (
        "Nightly check of the orders against their payments",
        "Three orders need a look",
        "€1,990.00",
        "psql -f queries/payments.sql",
        "Yes, for the finance team.",
        "Describe the three orders",
        "orders.md",
        "$0.0738",
        "1 h 30 min",
    ):
        assert shown in text, shown
    assert 2 <= len(open_pdf(made).pages) <= 4


async def test_scripts_of_the_world_and_emoji_have_glyphs(report_of: ReportOf) -> None:
    made = render(await report_with_answer(report_of, f"{WORLDWIDE} ไทย `中文 한`"), "pdf")
    text = text_of(made)
    for shown in ("漢字かな交じり文", "한국어", "हिन", "ไทย", "🎉", "中文"):
        assert shown in text, shown
    file = open_pdf(made)
    resources: list[Any] = [page["/Resources"] for page in file.pages]
    fonts = [font.get_object() for found in resources for font in found["/Font"].values()]
    names = " ".join(str(font["/BaseFont"]) for font in fonts)
    assert "NotoSansCJK" in names
    assert "NotoEmoji" in names
    # Without a glyph for a letter, it would not be PDF/UA.
    root: Any = file.trailer["/Root"].get_object()
    assert b"pdfuaid:part" in root["/Metadata"].get_object().get_data()


async def test_it_is_accessible(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    file = open_pdf(render(content, "pdf"))
    root: Any = file.trailer["/Root"].get_object()
    assert root["/Lang"].startswith("en")
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert b"pdfuaid:part" in root["/Metadata"].get_object().get_data()
    assert file.metadata is not None
    assert file.metadata.title == content["title"]
    assert file.metadata.author == "Perdure"
    outline = [entry.title for entry in _flat(file.outline)]
    assert outline[:3] == [content["title"], "Result", "Timeline"]


def _flat(outline: Any) -> list[Any]:
    return [e for entry in outline for e in (_flat(entry) if isinstance(entry, list) else [entry])]


async def test_statements_link_to_their_messages(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    made = render(content, "pdf")
    addresses = addresses_of(made)
    assert "https://example.com/orders.md" in addresses
    # The result, seven tool calls, one request, one subtask, one file, six turns.
    assert inner_links_of(made) == 17


async def test_two_renderings_are_equal(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    assert render(content, "pdf") == render(content, "pdf")


@pytest.mark.parametrize(
    "text",
    [
        '#read("/etc/passwd") #import "x.typ" $x^2$ @label <label> `raw` // no #panic() */ \\',
        "#{ while true {} }",
        "*bold* _it_ = Heading\n= Heading\n+ 1\n/ a: b",
        "x" * 5_000,
        "a/" * 3_000,
        WORLDWIDE * 20,
        "| " * 60 + "|\n" + "|---" * 60 + "|\n" + ("| " + "w" * 40) * 60 + "|",
        "```\n" + "y" * 900 + "\n" + "line\n" * 300 + "```",
        "> " * 5_000 + "[" * 5_000 + "*a_ " * 2_000,
        "".join("  " * depth + "- deep\n" for depth in range(40)),
        "- > - > - > - > - > - > - > - > **_~~[`a`](https://x.example)~~_**",
        "1. a\n\n   | a |\n   |---|\n   | b |\n\n\n0. b\n\n999999999. c",
        "[a](https://x.example/" + "p" * 3_000 + ")",
        "<!-- -->\n\n***\n\n# \n\n>\n\n-\n\n```\n```",
    ],
    ids=range(14),
)
async def test_any_text_can_be_set(report_of: ReportOf, text: str) -> None:
    made = render(await report_with_answer(report_of, text), "pdf")
    assert len(open_pdf(made).pages) >= 2
    assert "root:" not in text_of(made)


async def test_typst_in_a_text_stays_text(report_of: ReportOf) -> None:
    text = text_of(
        render(await report_with_answer(report_of, 'Say #read("/etc/passwd") and #1+1.'), "pdf")
    )
    assert 'Say #read("/etc/passwd") and #1+1.' in text


async def test_hostile_text_stays_text(report_of: ReportOf) -> None:
    made = render(await report_of(examples.hostile), "pdf")
    assert "<script>alert(1)</script>" in text_of(made)
    assert all(a.startswith("https://evil.example/") for a in addresses_of(made))


LONG = "a" * 9_000


@pytest.mark.parametrize(
    "text",
    [
        f"[words](https://e.example/?q={LONG})",
        f"[words](https://e.example/{'漢' * 900})",
        f"words <https://e.example/{LONG}>",
        f"[words][1]\n\n[1]: https://e.example/{LONG}",
        f"![words](https://e.example/{LONG})",
        f"[words](mailto:{LONG}@e.example)",
        f"| [words](https://e.example/{LONG}) |\n|---|\n| x |",
        f"words https://e.example/{LONG}",
    ],
)
async def test_a_link_that_is_too_long_is_set_as_text(report_of: ReportOf, text: str) -> None:
    beside = "[short](https://e.example/short)"
    made = render(await report_with_answer(report_of, f"{text}\n\n{beside}"), "pdf")
    assert "words" in text_of(made)
    assert "https://e.example/short" in addresses_of(made)
    assert all(len(address) < 8000 for address in addresses_of(made))


async def test_a_long_execution_is_rendered(report_of: ReportOf) -> None:
    made = render(await report_of(examples.endless), "pdf")
    assert "102 messages are left out here" in text_of(made)
    assert len(open_pdf(made).pages) < 80


async def test_a_timeout_is_an_error(report_of: ReportOf, monkeypatch: pytest.MonkeyPatch) -> None:
    document = build_document(ReportContent.model_validate(await report_of(examples.silent)))
    monkeypatch.setattr(pdf, "LONGEST_SECONDS", 0.001)
    with pytest.raises(RenderingFailedError, match="too long"):
        pdf.render_pdf(document)


async def test_a_failure_of_typst_is_an_error(
    report_of: ReportOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = build_document(ReportContent.model_validate(await report_of(examples.silent)))
    monkeypatch.setattr(pdf, "to_typst_data", lambda made: f'"{made.title}"')
    with pytest.raises(RenderingFailedError, match="another format"):
        pdf.render_pdf(document)


async def test_a_report_read_from_json_is_rendered(report_of: ReportOf) -> None:
    content = await report_of(examples.hostile)
    assert render(json.loads(json.dumps(content)), "pdf")[:5] == b"%PDF-"
