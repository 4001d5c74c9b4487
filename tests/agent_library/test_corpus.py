"""Files of agents as people write them, in `corpus`: each is read as its JSON file says."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_library.documents import DocumentError
from agent_library.files import read_agent_file, split_front_matter
from domain.rules.permissions import KNOWN_TOOLS

FILES = sorted((Path(__file__).parent / "corpus").glob("*.md"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_read_as_expected(file: Path) -> None:
    expected = json.loads(file.with_suffix(".json").read_text())
    match expected:
        case {"agent": {"allowed_tools": {"all_except": missing}}}:
            expected["agent"]["allowed_tools"] = sorted(KNOWN_TOOLS - set(missing))
    assert read(file) == expected


def read(file: Path) -> dict[str, Any]:
    """What the file says, or why it is refused."""
    try:
        found = read_agent_file(split_front_matter(file.read_bytes().decode()))
    except DocumentError as error:
        return {"refused": str(error), "line": error.line}
    return {"agent": found.body.value, "ignored": list(found.ignored)}


def test_the_corpus_has_files_that_are_read_and_files_that_are_refused() -> None:
    expected = [json.loads(file.with_suffix(".json").read_text()) for file in FILES]
    refused = [one for one in expected if "refused" in one]
    assert len(refused) >= 5
    assert len(expected) - len(refused) >= 10
