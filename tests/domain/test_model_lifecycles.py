"""Models that retire: by a dated table, or by what the Models API answered."""

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.model_lifecycles import RETIREMENTS, ModelLifecycle, describe_retirement
from domain.pricing import PRICES

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("claude-sonnet-4-5", "retires on 2026-11-30"),
        ("claude-sonnet-4-5-20250929", "retires on 2026-11-30"),
        ("claude-mythos-preview", "is retired since 2026-06-30"),
        ("claude-opus-4-5", None),  # in 55 days
        ("claude-opus-5-5", None),
        ("another-model", None),
    ],
)
def test_the_table_names_models_of_the_next_thirty_days(model: str, sentence: str | None) -> None:
    found = describe_retirement(model, {}, NOW)
    assert (found is None) if sentence is None else (found is not None and sentence in found)


@pytest.mark.parametrize(("days", "is_named"), [(31, False), (30, True), (0, True), (-1, True)])
def test_notice_is_given_thirty_days_before(days: int, *, is_named: bool) -> None:
    known = {"m": ModelLifecycle(NOW.date() + timedelta(days=days))}
    assert (describe_retirement("m", known, NOW) is not None) is is_named


def test_the_models_api_knows_better_than_the_table() -> None:
    known = {"claude-sonnet-4-5": ModelLifecycle(date(2027, 6, 1)), "new": ModelLifecycle(None)}
    assert describe_retirement("claude-sonnet-4-5-20250929", known, NOW) is None
    assert describe_retirement("new", known, NOW) is None
    retired = {"new": ModelLifecycle(None, is_retired=True)}
    assert "is retired, so calls fail" in (describe_retirement("new", retired, NOW) or "")


def test_the_table_has_names_without_dates() -> None:
    priced = {price.model for price in PRICES}
    assert set(RETIREMENTS) - priced <= {"claude-mythos-preview"}
