"""Prompt templates: one pass, values as they are, everything else untouched."""

import json

import hypothesis.strategies as st
from hypothesis import assume, given

from domain.templates import names, render

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text() | st.sampled_from(["{{ other }}", "{{x}}", "{", "}}", "\\1", "\\g<0>"])
PLAIN = st.text().filter(lambda text: "{{" not in text)


JSON = st.recursive(
    st.text() | st.integers() | st.none(),
    lambda values: st.dictionaries(st.text(), values),
    max_leaves=10,
)


@given(st.lists(st.tuples(PLAIN, NAMES)), PLAIN, st.dictionaries(NAMES, VALUES))
def test_values_go_in_as_they_are(
    parts: list[tuple[str, str]], end: str, variables: dict[str, str]
) -> None:
    template = "".join(f"{text} {{{{ {name} }}}}" for text, name in parts) + " " + end
    expected = "".join(
        f"{text} " + variables.get(name, f"{{{{ {name} }}}}") for text, name in parts
    )
    rendered = render(template, variables)
    assert rendered.text == f"{expected} {end}"
    missing = dict.fromkeys(name for _, name in parts if name not in variables)
    assert rendered.missing == tuple(missing)


@given(st.text())
def test_a_value_is_never_scanned_again(value: str) -> None:
    variables = {"a": value + "{{ b }}", "b": "never"}
    assert render("{{ a }}", variables).text == value + "{{ b }}"


@given(JSON)
def test_json_in_a_prompt_survives(value: object) -> None:
    written = json.dumps(value)
    assume(not names(written))
    assert render(written, {}).text == written


@given(st.integers() | st.none() | st.dictionaries(st.text(), JSON))
def test_a_value_that_is_no_text_is_rendered_as_json(value: object) -> None:
    assert json.loads(render("{{ v }}", {"v": value}).text) == value


@given(st.text())
def test_without_variables_nothing_changes(template: str) -> None:
    rendered = render(template, {})
    assert rendered.text == template
    assert rendered.missing == names(template)
