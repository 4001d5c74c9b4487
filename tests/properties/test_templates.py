"""Templates hold for any text: one pass, values never scanned again, everything else untouched."""

from hypothesis import given
from hypothesis import strategies as st

from domain.templates import names, render

NAMES = st.from_regex(r"\w{1,8}", fullmatch=True)
VALUES = st.text() | st.just("{{ again }}") | st.just("{{") | st.just("}}")
LITERALS = st.text().filter(lambda text: "{{" not in text and not text.endswith("{"))


@given(st.lists(st.tuples(LITERALS, NAMES)), LITERALS, st.dictionaries(NAMES, VALUES))
def test_each_placeholder_becomes_its_value_and_nothing_else_changes(
    parts: list[tuple[str, str]], tail: str, variables: dict[str, str]
) -> None:
    template = "".join(f"{literal}{{{{ {name} }}}}" for literal, name in parts) + tail
    expected = (
        "".join(literal + variables.get(name, f"{{{{ {name} }}}}") for literal, name in parts)
        + tail
    )

    rendered = render(template, variables)

    assert rendered.text == expected
    missing = [name for _, name in parts if name not in variables]
    assert list(rendered.missing) == list(dict.fromkeys(missing))
    assert set(rendered.missing) <= set(names(template))


@given(st.text(alphabet=st.characters(exclude_characters="{}")), st.dictionaries(NAMES, VALUES))
def test_text_without_placeholders_is_left_alone(text: str, variables: dict[str, str]) -> None:
    json_like = f'{{"a": {{"b": [1, 2]}}, "c": "{text}"}}'

    assert render(json_like, variables).text == json_like


def test_values_that_are_no_text_go_in_as_json() -> None:
    assert render("{{a}} {{ b }}", {"a": [1, None], "b": {"ü": True}}).text == (
        '[1, null] {"ü": true}'
    )
