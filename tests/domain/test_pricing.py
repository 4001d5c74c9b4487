"""The price table: dated, by length of prompt, rounded up, and never below what a call costs."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.calls import Usage
from domain.model.pricing import (
    PRICES,
    estimate,
    estimate_tokens,
    is_priced,
    price,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODELS = sorted({entry.model for entry in PRICES})
COUNTS = st.integers(0, 400_000)


def test_every_kind_of_token_has_its_price() -> None:
    million = 1_000_000
    usage = Usage(
        input_tokens=million,
        output_tokens=million,
        cache_read_tokens=million,
        cache_write_5m_tokens=million,
        cache_write_1h_tokens=million,
    )
    assert price("claude-opus-5-5", usage, NOW) == Decimal("37.20")


def test_a_call_is_priced_by_its_own_day() -> None:
    usage = Usage(cache_read_tokens=1_000_000)
    before = datetime(2026, 10, 6, 23, 59, tzinfo=UTC)
    assert price("claude-sonnet-5-5", usage, before) == Decimal("0.20")
    assert price("claude-sonnet-5-5", usage, before + timedelta(minutes=1)) == Decimal("0.10")
    in_tokyo = datetime(2026, 10, 7, 8, 59, tzinfo=timezone(timedelta(hours=9)))
    assert price("claude-sonnet-5-5", usage, in_tokyo) == Decimal("0.20")


def test_a_model_has_no_price_before_there_is_one() -> None:
    assert (
        price("claude-fable-5-2", Usage(input_tokens=1), datetime(2026, 11, 8, tzinfo=UTC)) is None
    )


def test_a_long_prompt_is_priced_whole_at_the_higher_band() -> None:
    short = Usage(input_tokens=60_000, cache_read_tokens=40_000)
    long = Usage(input_tokens=60_001, cache_read_tokens=40_000)
    assert price("claude-haiku-5-5", short, NOW) == Decimal("0.0064")
    assert price("claude-haiku-5-5", long, NOW) == Decimal("0.032001")


def test_amounts_have_six_decimals_and_are_rounded_up() -> None:
    assert price("claude-haiku-5-5", Usage(cache_read_tokens=1), NOW) == Decimal("0.000001")
    assert price("claude-opus-5-5", Usage(), NOW) == 0


@pytest.mark.parametrize("model", ["scripted-model", "claude", "", "claude-opus-5-5-fast"])
def test_what_is_not_in_the_table_has_no_price(model: str) -> None:
    assert not is_priced(model)
    assert price(model, Usage(input_tokens=5), NOW) is None
    assert estimate(model, 5, 5, NOW) is None


def test_a_dated_name_is_the_same_model() -> None:
    assert is_priced("claude-haiku-4-5-20251001")
    usage = Usage(output_tokens=1_000_000)
    assert price("claude-haiku-4-5-20251001", usage, NOW) == 5


@given(st.sampled_from(MODELS), COUNTS, COUNTS, COUNTS, COUNTS)
def test_an_estimate_is_never_below_the_price(
    model: str, fresh: int, read: int, written: int, output: int
) -> None:
    usage = Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_5m_tokens=written,
        output_tokens=output,
    )
    cost = price(model, usage, NOW)
    most = estimate(model, usage.prompt_tokens, output, NOW)
    assert cost is not None
    assert most is not None
    assert cost <= most


def test_the_table_is_complete_and_unambiguous() -> None:
    keys = [(entry.model, entry.effective_from, entry.longest_prompt) for entry in PRICES]
    assert len(set(keys)) == len(keys)
    for entry in PRICES:
        assert "2026" in entry.source
        assert entry.effective_from <= date(2026, 11, 21)
        open_ended = [e for e in PRICES if e.model == entry.model and e.longest_prompt > 10**9]
        assert open_ended, entry.model
        rate = entry.rate
        assert (
            rate.cache_read < rate.input < rate.cache_write_5m < rate.cache_write_1h < rate.output
        )


def test_tokens_are_estimated_upwards() -> None:
    assert [estimate_tokens(n) for n in (0, 1, 2, 3, 4_001)] == [0, 1, 1, 2, 2001]
