"""Models that retire: by a dated table, or by what the Models API answered."""

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.model.lifecycles import (
    RETIREMENTS,
    ModelLifecycle,
    describe_misspelling,
    describe_retirement,
)
from domain.model.pricing import PRICED_MODELS, PRICES

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


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("claude-sonet-5-5", "claude-sonnet-5-5"),
        ("claude-opus-5.5", "claude-opus-5-5"),
        ("claude-sonnet-5-5", None),
        ("claude-haiku-4-5-20251001", None),
        ("my-own-model", None),
    ],
)
def test_a_misspelled_model_is_named_with_the_one_that_is_meant(
    model: str, meant: str | None
) -> None:
    warning = describe_misspelling(model, PRICED_MODELS)
    assert (warning is None) == (meant is None)
    assert meant is None or (warning is not None and warning.endswith(f"Did you mean {meant}?"))
