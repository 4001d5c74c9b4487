"""How the failures of a turn's call are counted."""

import pytest

from domain.model.calls import FailureCounts, count_failures


@pytest.mark.parametrize(
    ("kinds", "in_a_row", "at_spend_limit"),
    [
        ([], 0, 0),
        (["overloaded", None, "connection"], 3, 0),
        (["quota"] * 8, 0, 8),
        (["overloaded", "quota", "overloaded"], 1, 1),
    ],
)
def test_a_spend_limit_is_no_failure_in_a_row(
    kinds: list[str | None], in_a_row: int, at_spend_limit: int
) -> None:
    assert count_failures(kinds) == FailureCounts(in_a_row, at_spend_limit)
