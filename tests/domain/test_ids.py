"""Ids are version 7 and sort as they were made."""

import itertools
import time

from domain.ids import new_id


def test_ids_are_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_sort_as_they_were_made() -> None:
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    ordered = sum(a < b for a, b in itertools.pairwise(made))
    # Two within a quarter of a microsecond, or a clock that was set back, may be the other way.
    assert ordered > 9_900
