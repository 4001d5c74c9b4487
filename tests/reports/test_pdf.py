"""PDF: its content, that it is accessible, and that no text in it has an effect as markup."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from domain.errors import RenderingFailedError
from persistence.db.database import Database
from reports.document import build_document
from reports.model import ReportContent
from reports.render import render
from reports.writers import pdf
from tests.reports import examples
from tests.reports.conftest import ReportOf, write_report
from tests.reports.pdf_file import addresses_of, inner_links_of, open_pdf, text_of

WORLDWIDE = (
    "Größenwahn – naïve façade, Ελληνικά, Кириллица, 漢字かな交じり文, 한국어, עברית, العربية, "  # noqa: RUF001 - letters of others are meant
    "हिन्दी, 👩‍👩‍👧‍👦 🎉, ∑∞≠, "
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report, and the file of it: typst takes most of the time of these tests."""

    content: dict[str, Any]
    pdf: bytes


@pytest.fixture(scope="module")
async def ordinary(module_database_url: str) -> Report:
    database = Database.connect(module_database_url)
    content = await write_report(database, examples.ordinary)
    await database.close()
    return Report(content, render(content, "pdf"))


async def report_with_answer(report_of: ReportOf, text: str) -> dict[str, Any]:
    content = await report_of(examples.ordinary)
    content["outcome"]["text"] = {"text": text, "chars": len(text)}
    return content


async def test_pdf_shows_the_execution(ordinary: Report) -> None:
    text = text_of(ordinary.pdf)
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
    assert 2 <= len(open_pdf(ordinary.pdf).pages) <= 4


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


async def test_it_is_accessible(ordinary: Report) -> None:
    file = open_pdf(ordinary.pdf)
    root: Any = file.trailer["/Root"].get_object()
    assert root["/Lang"].startswith("en")
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert b"pdfuaid:part" in root["/Metadata"].get_object().get_data()
    assert file.metadata is not None
    assert file.metadata.title == ordinary.content["title"]
    assert file.metadata.author == "Perdure"
    outline = [entry.title for entry in _flat(file.outline)]
    assert outline[:3] == [ordinary.content["title"], "Result", "Timeline"]


def _flat(outline: Any) -> list[Any]:
    return [e for entry in outline for e in (_flat(entry) if isinstance(entry, list) else [entry])]


async def test_statements_link_to_their_messages(ordinary: Report) -> None:
    addresses = addresses_of(ordinary.pdf)
    assert "https://example.com/orders.md" in addresses
    # The result, seven tool calls, one request, one subtask, one file, six turns.
    assert inner_links_of(ordinary.pdf) == 17


async def test_two_renderings_are_equal(ordinary: Report) -> None:
    """The second one from the content as JSON, as it is stored."""
    assert render(json.loads(json.dumps(ordinary.content)), "pdf") == ordinary.pdf


MORE_TEXTS = [
    '#read("/etc/passwd") #import "x.typ" $x^2$ @label <label> `raw` // no #panic() */ \\',
    "#{ while true {} }",
    "*bold* _it_ = Heading\n= Heading\n+ 1\n/ a: b",
    "x" * 5_000,
    "a/" * 3_000,
    WORLDWIDE * 20,
    "```\n" + "y" * 900 + "\n" + "line\n" * 300 + "```",
    "> " * 5_000 + "[" * 5_000 + "*a_ " * 2_000,
    "".join("  " * depth + "- deep\n" for depth in range(40)),
    "1. a\n\n   | a |\n   |---|\n   | b |\n\n\n0. b\n\n999999999. c",
    "[a](https://x.example/" + "p" * 3_000 + ")",
    "<!-- -->\n\n***\n\n# \n\n>\n\n-\n\n```\n```",
]
"""For `make verify`, because typst takes a second for each file."""


@pytest.mark.parametrize(
    "text",
    [
        "| " * 60 + "|\n" + "|---" * 60 + "|\n" + ("| " + "w" * 40) * 60 + "|",
        "- > - > - > - > - > - > - > - > **_~~[`a`](https://x.example)~~_**",
        *(pytest.param(text, marks=pytest.mark.long) for text in MORE_TEXTS),
    ],
    ids=range(2 + len(MORE_TEXTS)),
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
    content = await report_of(examples.hostile)
    made = render(json.loads(json.dumps(content)), "pdf")
    assert "<script>alert(1)</script>" in text_of(made)
    assert all(a.startswith("https://evil.example/") for a in addresses_of(made))


LONG = "a" * 9_000


LONG_LINKS = [
    f"[words](https://e.example/?q={LONG})",
    f"[words](https://e.example/{'漢' * 900})",
    f"words <https://e.example/{LONG}>",
    f"[words][1]\n\n[1]: https://e.example/{LONG}",
    f"![words](https://e.example/{LONG})",
    f"[words](mailto:{LONG}@e.example)",
    f"| [words](https://e.example/{LONG}) |\n|---|\n| x |",
    f"words https://e.example/{LONG}",
]


async def test_a_link_that_is_too_long_is_set_as_text(report_of: ReportOf) -> None:
    texts = "\n\n".join([*LONG_LINKS, "[short](https://e.example/short)"])
    made = render(await report_with_answer(report_of, texts), "pdf")
    assert text_of(made).count("words") == len(LONG_LINKS)
    assert "https://e.example/short" in addresses_of(made)
    assert all(len(address) < 8000 for address in addresses_of(made))


async def test_a_long_execution_is_rendered(report_of: ReportOf) -> None:
    """`test_render.py` checks what is left out: to read the text of all pages takes seconds."""
    made = render(await report_of(examples.endless), "pdf")
    assert 2 <= len(open_pdf(made).pages) < 80


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
