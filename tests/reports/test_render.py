"""Rendering: what a page shows, that it is valid HTML, and that it runs and loads nothing."""

import json
import re
from typing import Any

import pytest

from domain.errors import InvalidInputError
from domain.executions.report_facts import Ending
from reports.render import FORMATS, render
from tests.reports import examples
from tests.reports.conftest import ReportOf
from tests.reports.html_page import read_page
from tests.reports.pdf_file import addresses_of, text_of

ATTRIBUTES = {
    *("id", "class", "href", "dir", "tabindex", "scope", "style", "title", "role", "rel"),
    *("lang", "charset", "content", "name", "http-equiv", "datetime", "start"),
    *("aria-label", "aria-labelledby", "aria-hidden"),
    # Of charts; they can't load anything.
    *("xmlns", "x", "y", "dx", "rx", "width", "height", "fill", "stroke", "stroke-width"),
    *("font-family", "font-size", "text-anchor", "patternunits", "patterntransform"),
}
LINKED = {"tool_calls", "model_calls", "input_requests", "subtasks", "artifacts", "spending"}


async def test_json_is_what_is_stored(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    assert json.loads(render(content, "json")) == content


async def test_json_is_readable_in_any_language(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    assert "€412.00" in render(content, "json").decode()


async def test_json_of_anything_is_utf8(report_of: ReportOf) -> None:
    content = await report_of(examples.hostile)
    json.loads(render({**content, "title": "\ud800"}, "json").decode())


async def test_html_shows_the_execution(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    page = read_page(render(content, "html"))
    text = "".join(page.text)
    for shown in (
        content["title"],
        "Three orders need a look",
        "€1,990.00",
        "psql -f queries/payments.sql",
        "Yes, for the finance team.",
        "Describe the three orders",
        "orders.md",
        "$0.0738",
        "1 h 30 min",
        "Check last night's orders",
        "failed: Overloaded",
        content["subject"]["execution_id"],
    ):
        assert shown in text, shown
    assert "\x1b" not in text


async def test_html_is_one_file_without_requests(report_of: ReportOf) -> None:
    html = render(await report_of(examples.ordinary), "html")
    page = read_page(html)
    outside = {link for link in page.links if not link.startswith("#")}
    assert outside == {"https://example.com/orders.md"}
    assert not {name for _, name in page.attributes} - ATTRIBUTES
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert policy in html.decode().replace("&#39;", "'")
    assert "@import" not in html.decode()
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)", html.decode()))


async def test_hostile_text_stays_text(report_of: ReportOf) -> None:
    html = render(await report_of(examples.hostile), "html")
    page = read_page(html)
    assert not {name for _, name in page.attributes} - ATTRIBUTES
    assert all(link.startswith(("#", "https://evil.example/")) for link in page.links)
    assert not page.styles
    text = "".join(page.text)
    assert "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>" in text
    assert "{{ 7 * 7 }}" in text
    assert "⟨U+202E⟩gnp.exe⟨U+202C⟩" in text
    unseen = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
    assert not unseen.search(html.decode())


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("[a](javascript:alert(1))", "[a](javascript:alert(1))"),
        ("[a](//evil.example)", '<a rel="noopener noreferrer nofollow">a</a>'),
        ("![a](https://x.example/p)", "!<a rel="),
        ("<b onclick=x>hi</b>", "&lt;b onclick=x&gt;hi&lt;/b&gt;"),
        ("# Big", "<h3>Big</h3>"),
        ("[a][x]\n\n[x]: data:text/html,hi", "[a][x]"),
    ],
)
async def test_markdown(report_of: ReportOf, markdown: str, shown: str) -> None:
    content = await report_of(examples.ordinary)
    content["outcome"]["text"]["text"] = markdown
    html = render(content, "html")
    read_page(html)
    assert shown in html.decode()


async def test_deeply_nested_markdown(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    content["outcome"]["text"]["text"] = "> " * 5_000 + "[" * 5_000 + "*a_ " * 2_000
    read_page(render(content, "html"))


async def test_a_report_of_a_long_execution_is_limited(report_of: ReportOf) -> None:
    content = await report_of(examples.endless)
    html = render(content, "html")
    assert len(html) < 2_000_000
    assert len(render(content, "json")) < 2_000_000
    text = "".join(read_page(html).text)
    assert "102 messages are left out here" in text
    assert "200 of 220 calls: the first and the last" in text
    assert "100,000 more characters are left out here" in text


@pytest.mark.parametrize("wanted", ["md", "docx", "", "HTML"])
async def test_an_unknown_format_lists_the_known_ones(wanted: str) -> None:
    with pytest.raises(InvalidInputError, match="html, pdf, json, markdown") as raised:
        render({}, wanted)
    assert raised.value.problems[0].loc == ("query", "format")


@pytest.mark.parametrize("report_format", list(FORMATS))
async def test_the_actual_ending_is_shown(report_of: ReportOf, report_format: str) -> None:
    content = await report_of(examples.ordinary)
    ending = Ending(status="cancelled", message="Stopped at the last moment.")
    rendered = render(content, report_format, ending=ending)
    shown = text_of(rendered) if report_format == "pdf" else rendered.decode()
    assert "Stopped at the last moment." in shown
    assert content["outcome"]["status"] == "completed"


async def test_a_failure_is_shown_first(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    ending = Ending(status="failed", error_code="max_turns", message="40 turns are reached.")
    text = "".join(read_page(render(content, "html", ending=ending)).text)
    assert text.index("It failed: max turns") < text.index("The last answer before that")
    assert "40 turns are reached." in text


async def test_a_report_of_a_later_version_is_readable(report_of: ReportOf) -> None:
    content: dict[str, Any] = await report_of(examples.ordinary)
    content |= {"schema_version": 2, "statements": [{"text": "new"}]}
    content["outcome"]["confidence"] = 1
    read_page(render(content, "html"))
    assert json.loads(render(content, "json")) == content


async def test_an_execution_without_messages(report_of: ReportOf) -> None:
    content = await report_of(examples.silent)
    for text in (
        "".join(read_page(render(content, "html")).text),
        render(content, "markdown").decode(),
        text_of(render(content, "pdf")),
    ):
        assert "It failed: invalid definition" in text


async def test_a_report_of_an_older_version_is_readable(report_of: ReportOf) -> None:
    """Fields added since the first version have defaults."""
    content: dict[str, Any] = await report_of(examples.ordinary)
    for name in ("difference", "spending"):
        del content[name]
    for name in ("input_requests", "subtasks", "artifacts"):
        for part in content[name]:
            del part["message_seq"]
    del content["artifacts"][0]["sha256"]
    for report_format in FORMATS:
        assert render(content, report_format)


async def test_every_statement_links_to_its_message(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    seqs = {
        content["outcome"]["message_seq"],
        *(part["message_seq"] for name in LINKED for part in content[name]),
    }
    page = read_page(render(content, "html"))
    assert {f"#message-{seq}" for seq in seqs if seq} <= set(page.links)
    for name in LINKED - {"model_calls"}:
        assert all(part["message_seq"] for part in content[name]), name


@pytest.mark.parametrize("report_format", ["html", "markdown", "pdf"])
async def test_nothing_links_to_the_api(report_of: ReportOf, report_format: str) -> None:
    for example in (examples.ordinary, examples.endless):
        made = render(await report_of(example), report_format)
        if report_format == "pdf":
            assert not [one for one in addresses_of(made) if "/api/" in one]
        assert b"/api/" not in made


async def test_a_page_keeps_lists_that_print_flattens(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    levels = [f"{'  ' * depth}- level {depth}" for depth in range(6)]
    content["outcome"]["text"]["text"] = "\n".join(levels)
    content["transcript"] = []
    html = render(content, "html").decode()
    assert html.count('<ul><li dir="auto"><p dir="auto">level') == 6
    markdown = render(content, "markdown").decode()
    assert "\n    - level 2\n" in markdown
    assert "\n      level 5\n" in markdown


async def test_a_scripted_run_is_named_in_every_format(report_of: ReportOf) -> None:
    content = await report_of(examples.silent)
    assert content["subject"]["is_scripted"] is False
    assert "scripted" not in render(content, "markdown").decode()
    scripted = {**content, "subject": {**content["subject"], "is_scripted": True}}
    html = "".join(read_page(render(scripted, "html")).text)
    shown = (html, render(scripted, "markdown").decode(), text_of(render(scripted, "pdf")))
    for text in shown:
        assert "Claude was not called" in " ".join(text.split())
        assert "scripted model" in text.lower()
