"""Parts of a file are read as whole characters."""

import pytest

from domain.files.artifacts import count_partial, decode_part


@pytest.mark.parametrize(
    ("data", "decoded"),
    [
        (b"", ("", 0)),
        ("aé".encode(), ("aé", 3)),
        ("aé".encode()[:2], ("a", 1)),
        (b"a\0", (None, 2)),
        # A part without text must not be empty text: its reader would ask for it again and again.
        (b"\xe9", (None, 1)),
        (b"\xff\xfe", (None, 2)),
    ],
)
def test_a_part_ends_between_characters(data: bytes, decoded: tuple[str | None, int]) -> None:
    assert decode_part(data) == decoded


def test_a_part_begins_between_characters() -> None:
    text = "a😀b".encode()
    assert [count_partial(text[at:]) for at in range(len(text) + 1)] == [0, 0, 3, 2, 1, 0, 0]
