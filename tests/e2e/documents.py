"""The files and commands of the documents.

A fenced block with a title is a file. A block of `sh` is run, unless a comment above it contains
`<!-- not run: why -->`; its exit code is 0, unless a comment contains `<!-- exits N -->`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    str(page.relative_to(REPOSITORY))
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    if not page.is_relative_to(REPOSITORY / "docs" / "reference")  # generated
)

_FENCED = re.compile(
    r"(?:^<!-- (?P<comment>[^\n]*) -->\n)?"
    r'^(?P<fence>`{3,})(?P<kind>\w+)(?: title="(?P<title>[^"\n]+)")?\n'
    r"(?P<body>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `not_run` is the reason; `code` is the expected exit code."""

    kind: str
    body: str
    title: str | None
    not_run: str | None
    code: int
    line: int


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks of a document of the repository, in order."""
    text = (REPOSITORY / document).read_text("utf-8")
    for found in _FENCED.finditer(text):
        comment = found["comment"] or ""
        not_run = re.fullmatch(r"not run: (.+)", comment)
        exits = re.fullmatch(r"exits (\d+)", comment)
        yield Block(
            kind=found["kind"],
            body=found["body"],
            title=found["title"],
            not_run=not_run and not_run[1],
            code=int(exits[1]) if exits else 0,
            line=text.count("\n", 0, found.start("fence")) + 1,
        )


def find_commands(document: str) -> list[Block]:
    """The blocks of commands that are to be run."""
    return [block for block in blocks(document) if block.kind == "sh" and not block.not_run]


def block_with(document: str, kind: str, words: str) -> str:
    """The one block that holds these words."""
    [found] = [b.body for b in blocks(document) if b.kind == kind and words in b.body]
    return found
