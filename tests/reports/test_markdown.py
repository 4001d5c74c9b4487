"""Markdown: it renders as intended, and no text in it has an effect as markup."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sqlalchemy.ext.asyncio import AsyncSession

from domain.web.connections import NO_CONNECTIONS, Connection
from reports.nodes import Node, paragraph, table, wrap
from reports.render import render
from reports.text import parse_markdown
from reports.writers.markdown import escape, write_blocks
from tests.reports import examples
from tests.reports.conftest import ReportOf
from tests.reports.execution_builder import ExecutionBuilder

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
"""Like lenient renderers, it lets raw HTML through."""


def tokens(markdown: str) -> Iterator[Token]:
    for token in READER.parse(markdown):
        yield token
        yield from token.children or ()


def sections(markdown: str) -> list[str]:
    found = READER.parse(markdown)
    return [
        found[place + 1].content
        for place, token in enumerate(found)
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0
    ]


async def test_markdown_shows_the_execution(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    markdown = render(content, "markdown").decode()
    assert markdown.startswith("# Nightly check of the orders against their payments\n")
    assert sections(markdown) == [
        *("Result", "Timeline", "What people were asked", "Tool calls", "Subtasks", "Files"),
        *("Tokens and cost", "Transcript", "Details"),
    ]
    assert "| `A-20931` | €412.00 | paid twice, refund is pending |" in markdown
    assert "| 2 | `bash` | `psql -f queries/payments.sql -v day=yesterday` | failed |" in markdown
    assert "*in [message 12](#message-12)*" in markdown
    for count in ("1 request", "7 calls", "1 subtask", "1 file", "12 messages"):
        assert f"\n\n*{count}*\n\n" in markdown
    numbers = [int(number) for number in re.findall(r"^### Message (\d+)$", markdown, re.MULTILINE)]
    assert numbers == list(range(1, 13))  # messages with results, too
    assert "Output of `bash`:\n\n```\n1281 rows\n```" in markdown
    assert ", without subtasks)" in markdown
    assert re.search(r"Subtasks: \*\*1\*\* \(\$[\d.]+ more\)", markdown)


async def test_the_transcript_names_the_hosts_of_a_call(report_of: ReportOf) -> None:
    log = NO_CONNECTIONS.with_connections(
        [
            Connection("api.example", 443, "allowed", sent_bytes=1234, received_bytes=5),
            Connection("evil.example", 80, "refused", "It is not listed."),
        ]
    )

    async def example(session: AsyncSession) -> ExecutionBuilder:
        builder = await examples.ordinary(session)
        call = {"name": "bash", "input": {"command": "curl"}, "connections": log.as_json()}
        await builder.add_tool_turn(call)
        return builder

    markdown = render(await report_of(example), "markdown").decode()
    hosts = "api.example:443, evil.example:80 (1,234 bytes sent, 5 received, 1 refused)"
    assert hosts in markdown.replace("\\", "")


async def test_tables_are_complete(report_of: ReportOf) -> None:
    content = await report_of(examples.hostile)
    content["tool_calls"][0]["name"] = "a | b ` c \\| \n d"
    content["artifacts"][0]["name"] = "]( | x"
    rows = [t for t in tokens(render(content, "markdown").decode()) if t.type == "tr_open"]
    cells = [t for t in tokens(render(content, "markdown").decode()) if t.type == "td_open"]
    # Tool calls, subtasks, files, two lines of cost, details; each with its head.
    assert len(rows) == 1 + 1 + 1 + 1 + 1 + 1 + 1 + 2 + 1 + 6
    assert len(cells) == 6 + 5 + 4 + 7 * 2 + 2 * 6


async def test_hostile_text_stays_text(report_of: ReportOf) -> None:
    markdown = render(await report_of(examples.hostile), "markdown").decode()
    found = list(tokens(markdown))
    assert not [t for t in found if t.type in {"html_block", "html_inline", "image"}]
    links = [str(t.attrGet("href")) for t in found if t.type == "link_open"]
    assert all(link.startswith(("#", "https://evil.example/")) for link in links)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", markdown)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("snake_case stays", "snake_case stays"),
        ("_a_ *b* `c` ~d~", r"\_a\_ \*b\* \`c\` \~d\~"),
        ("<b> a < b > c &amp; d & e", r"\<b> a < b > c \&amp; d & e"),
        ("[x](y) wow!", r"\[x\](y) wow\!"),
        ("1.5 | 2", r"1.5 \| 2"),
        ("a\nb", "a b"),
    ],
)
def test_only_markup_is_escaped(written: str, read: str) -> None:
    assert escape(written) == read


def test_line_breaks_are_preserved() -> None:
    markdown = "\n".join(write_blocks(parse_markdown("total 2\na.txt\nb.txt\n\nTwo\nlines\n===")))
    assert markdown.startswith("\ntotal 2\\\na.txt\\\nb.txt\n")
    assert markdown.endswith("# Two lines")


@given(st.text(max_size=60))
@example("__0__")
@example("+ a")
@example("12) a")
@example("===")
@example("<!-- a")
@example("&#35; a")
@example("`" * 3)
@example("\\`[a](b)`")
def test_any_text_is_one_paragraph(text: str) -> None:
    markdown = "\n".join(write_blocks([paragraph(text)]))
    found = [t.type for t in READER.parse(markdown)]
    assert found in ([], ["paragraph_open", "inline", "paragraph_close"]), markdown
    words = [t for t in tokens(markdown) if t.type != "inline" and t.level == 0]
    kinds = {t.type for t in words} - {"paragraph_open", "paragraph_close"}
    assert kinds <= {"text", "text_special"}, markdown


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), min_size=1, max_size=4))
def test_any_table_keeps_its_cells(rows: list[list[str]]) -> None:
    cells = [[wrap("code", Node("text", text=cell)) for cell in row] for row in rows]
    made: list[list[Any]] = [*rows, *cells, *[[Node("code", text=c) for c in r] for r in rows]]
    markdown = "\n".join(write_blocks([table("t", ("a", "b"), made, align="lr")]))
    found = list(READER.parse(markdown))
    assert sum(t.type == "tr_open" for t in found) == 1 + 3 * len(rows)
    assert sum(t.type == "td_open" for t in found) == 2 * 3 * len(rows)
    assert not [t for t in tokens(markdown) if t.type in {"html_inline", "link_open", "image"}]
