"""Text made storable."""

import hypothesis.strategies as st
from hypothesis import given

from domain.text import clean

ANYTHING = st.text(st.characters(exclude_categories=())) | st.text()


@given(ANYTHING)
def test_what_is_clean_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean(cleaned) == cleaned


@given(st.text().filter(lambda text: "\0" not in text))
def test_what_can_be_stored_stays(text: str) -> None:
    assert clean(text) == text
