"""YAML and JSON as they are written: words, lines, doubled keys, and texts that are too much."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_library.documents import DocumentError, read_json, read_yaml


def read_one(text: str) -> Any:
    [document] = read_yaml(text)
    return document.value


@pytest.mark.parametrize(
    "word",
    [
        *("NO", "yes", "on", "12:30", "01234", "1.10", "0x1F", "0o17", "0b1", "1_000", ".inf"),
        *("-.INF", ".nan", "2026-11-28", "2026-11-28T10:00:00Z", "1e3", "+5", "-0", "5.", ".5"),
        *("TRUE", "Null", "9" * 5000, "1e999", "=", "a<<b"),
    ],
)
def test_a_word_that_would_be_printed_differently_is_a_text(word: str) -> None:
    assert read_one(f"a: {word}") == {"a": word}
    assert read_one(f"[{word}]") == [word]


def test_a_word_has_a_second_reading() -> None:
    text = "a: 010\nb: [1.10, 0x1F]\nc: 5\nd: true\ne: NULL\nf: 0o17"
    [document] = read_yaml(text)
    locs = set(document.readings)
    assert document.with_readings(locs) == {
        "a": 10,
        "b": [1.1, 31],
        "c": "5",
        "d": "true",
        "e": None,
        "f": 15,
    }
    assert document.value["b"] == ["1.10", "0x1F"]


def test_quotes_and_keys_are_texts() -> None:
    assert read_one("'5': \"5\"\ntrue: 'no'\n7: x\nnull: y\n2026-01-01: z") == {
        "5": "5",
        "true": "no",
        "7": "x",
        "null": "y",
        "2026-01-01": "z",
    }


def test_lines_are_those_of_the_text() -> None:
    text = "# first\na:\n  b: 1\n  c:\n    - x\n    - {d: y}\n"
    [document] = read_yaml(text, first_line=10)
    lines = {("a",): 11, ("a", "c"): 13, ("a", "c", 1, "d"): 15, ("a", "gone"): 11, ("gone",): 11}
    assert {loc: document.line_of(loc) for loc in lines} == lines
    json_lines = read_json('{"a": [\n1,\n{"b": {}}],\n"c": ","}')
    lines = {("a", 0): 2, ("a", 1, "b"): 3, ("c",): 4, (): 1}
    assert {loc: json_lines.line_of(loc) for loc in lines} == lines


def test_characters_of_other_line_ends_stay() -> None:
    assert read_one("a: |\n  x\u2028y\n  z\x85\ue000") == {"a": "x\u2028y\nz\x85\ue000"}
    assert read_one('a: "\\U0001F600 \\ud7ff"') == {"a": "😀 \ud7ff"}
    assert read_json('["\\ud83d\\ude00", "\\ud800"]').value == ["😀", "\ufffd"]


def test_an_alias_repeats_a_value() -> None:
    value = read_one("a: &x {b: [1]}\nc: *x\n")
    assert value == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert value["a"] is not value["c"]


MULTIPLIED = "a0: &a0 [x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9)
)
DEEPENED = "a0: &a0 x\n" + "".join(
    f"a{n + 1}: &a{n + 1} {'[' * 190}*a{n}{']' * 190}\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' appears twice, first in line 1"),
        ("a:\n  b: 1\n  'b': 2", 3, "'b' appears twice, first in line 2"),
        ("- {a: 1,\n   a: 1}", 2, "'a' appears twice, first in line 1"),
        ("1: a\n'1': b", 2, "'1' appears twice, first in line 1"),
        ("x: 1\n---\ny: 1\ny: 2", 4, "'y' appears twice, first in line 3"),
        ("a: &a [*a]", 1, "no complete value 'a'"),
        ("x: 1\na: *b", 2, "no complete value 'b'"),
        ("[" * 5000, 1, "nested too deeply"),
        ("{a: " * 5000, 1, "nested too deeply"),
        (MULTIPLIED, 5, "values"),
        (DEEPENED, 1, "nested too deeply"),
        ("x: 1\n<<: {a: 1}", 2, "merge"),
        ("? [a]\n: b", 1, "key"),
        ("a: !!python/object/apply:os.system [ls]", 1, "tag"),
        ("!!set {a, b}", 1, "tag"),
        ("a: b: c", 1, "not valid YAML"),
        ("x: 1\n\ty: 2", 2, "not valid YAML"),
        ("x: 1\ny: é\x07", 2, "U+0007"),
        ('x: "\\ud800"', 1, "not valid YAML"),
        ("%YAML 3.0\n---\na: 1", 1, "not valid YAML"),
    ],
)
def test_what_is_ambiguous_or_too_much_is_refused(text: str, line: int, hint: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(hint)) as refused:
        read_yaml(text)
    assert refused.value.line == line


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ('{"a": 1,\n"b": {"c": 1,\n"c": 2}}', 3, "'c' appears twice, first in line 2"),
        ('{"a": 1,\n"\\u0061": 2}', 2, "'a' appears twice, first in line 1"),
        ("[1,\n2", 2, "not valid JSON"),
        ("[" * 5000, 1, "nested too deeply"),
        ('{"a": NaN}', 1, "NaN"),
        ("a: 1", 1, "not valid JSON"),
        ("", 1, "not valid JSON"),
    ],
)
def test_json_is_as_strict(text: str, line: int, hint: str) -> None:
    with pytest.raises(DocumentError) as refused:
        read_json(text)
    assert hint in str(refused.value)
    assert refused.value.line == line


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(JSON_VALUES, st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_json(value: Any, indent: Any) -> None:
    text = json.dumps(value, indent=indent)
    document = read_json(text)
    assert document.value == value
    assert max(document.lines.values()) <= text.count("\n") + 1


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#% \n\t,?<1.", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        documents = read_yaml(text)
    except DocumentError as error:
        assert 1 <= error.line <= text.count("\n") + 1  # noqa: PT017 - both outcomes are right
    else:
        assert all(document.line_of(()) >= 1 for document in documents)
