"""The word list of `make check` finds banned words, and the covered files contain none."""

from collections.abc import Callable

import pytest

from scripts.check_language import ROOT, Hit, check, check_file, files
from scripts.docs_site import api_reference, cli_reference


def words(text: str) -> list[str]:
    return [hit.word for hit in check(text, "example.py")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The bell was rung.", ["bell", "rung"]),
        ("door_policy, DoorPolicy, HTTPDoor", ["door", "door", "door"]),
        ("def _again(self):", ["def again"]),
        ("# it goes\n# on", ["goes on"]),
        ("None of them ends", ["none of them"]),
        ("the strangers AS (", ["strangers"]),
    ],
)
def test_a_banned_word_is_found(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "string, keyring, doorway, history, Bellman, earlier, storage",
        "if x is None or None is y:",
        "on_unknown_effect: tell_model",
        "The key stands for a secret; a stand-in for the server.",
        "def run_again(self):",
    ],
)
def test_other_words_are_not_found(text: str) -> None:
    assert words(text) == []


def test_a_hit_names_the_file_the_line_and_a_suggestion() -> None:
    [hit] = check("first line\nthe doors\n", "docs/page.md")

    assert hit == Hit("docs/page.md", 2, "doors", "endpoint, host policy")
    assert str(hit) == "docs/page.md:2: doors -> endpoint, host policy"


def test_the_tree_contains_no_banned_words() -> None:
    checked = list(files(ROOT))

    assert len(checked) > 500
    assert [str(hit) for file in checked for hit in check_file(file)] == []


@pytest.mark.parametrize("reference", [api_reference, cli_reference])
def test_openapi_and_help_contain_no_banned_words(reference: Callable[[], dict[str, str]]) -> None:
    text = "\n".join(reference().values())
    lines = text.splitlines()
    assert [f"{hit.word}: {lines[hit.line - 1]}" for hit in check(text, "reference")] == []
