"""What the documents tell people to type, as it stands there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_FENCED = re.compile(
    r"^(?P<fence>`{3,})(?P<kind>\w+)\n(?P<body>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE
)


def blocks(document: str, kind: str) -> list[str]:
    """The fenced blocks of that kind in a document of the repository, in order."""
    text = (REPOSITORY / document).read_text()
    return [found["body"] for found in _FENCED.finditer(text) if found["kind"] == kind]


def block_with(document: str, kind: str, words: str) -> str:
    """The one block that holds these words."""
    [found] = [block for block in blocks(document, kind) if words in block]
    return found
