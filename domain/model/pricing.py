"""Prices of model calls: a dated table, the price of a call, and the maximum cost of a call.

Amounts are USD with at most six decimals, rounded up. Prices of the Messages API at its standard
tier; batch discounts, fast mode, regional surcharges and fees of server tools are not included.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal

from domain.model.calls import Usage
from domain.model.lifecycles import strip_date

_PER_TOKENS = 1_000_000
_MICRO_USD = Decimal("0.000001")

_BYTES_PER_TOKEN = 2
"""Bytes per token of dense text (chosen). English prose has about four (Anthropic's rule of thumb),
JSON and code about three, digits and base64 about two. The estimate protects a budget, so it must
not be too low."""


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal


@dataclass(frozen=True, slots=True)
class Price:
    """A model's rate from a date on (UTC), for prompts of at most `longest_prompt` tokens."""

    model: str
    effective_from: date
    rate: Rate
    source: str
    longest_prompt: float = math.inf


def _rate(*usd: str) -> Rate:
    return Rate(*(Decimal(amount) for amount in usd))


_LIST = "platform.claude.com, pricing, read 2026-11-21"
_LAUNCH = date.min
"""The date of a model's first price."""

_MULTIPLES = _LIST + "; cache prices by its multipliers: 1.25 and 2 to write, 0.1 to read"

_OPUS_5 = _rate("5", "25", "6.25", "10", "0.50")
_MYTHOS_5 = _rate("10", "50", "12.5", "20", "1")
_MYTHOS_5_1 = _rate("10", "50", "12.5", "20", "0.25")
_SONNET_4 = _rate("3", "15", "3.75", "6", "0.30")

PRICES: tuple[Price, ...] = (
    Price(
        "claude-fable-5-2",
        date(2026, 11, 9),
        _rate("8", "40", "10", "16", "0.20"),
        "a reseller's page that quotes the list price, read 2026-11-21; "
        "one-hour writes by the multiplier of all other models: twice the input",
    ),
    Price("claude-fable-5-1", _LAUNCH, _MYTHOS_5_1, _LIST),
    Price("claude-mythos-5-1", _LAUNCH, _MYTHOS_5_1, _LIST),
    Price("claude-fable-5", _LAUNCH, _MYTHOS_5, _LIST),
    Price("claude-mythos-5", _LAUNCH, _MYTHOS_5, _LIST),
    Price("claude-opus-5-5", _LAUNCH, _rate("4", "20", "5", "8", "0.20"), _LIST),
    Price("claude-opus-5", _LAUNCH, _OPUS_5, _LIST),
    Price("claude-opus-4-8", _LAUNCH, _OPUS_5, _LIST),
    Price("claude-opus-4-7", _LAUNCH, _OPUS_5, _LIST),
    Price("claude-opus-4-6", _LAUNCH, _OPUS_5, _LIST),
    Price("claude-opus-4-5", _LAUNCH, _OPUS_5, _LIST),
    Price("claude-sonnet-5-5", _LAUNCH, _rate("2", "10", "2.5", "4", "0.20"), _LIST),
    Price("claude-sonnet-5-5", date(2026, 10, 7), _rate("2", "10", "2.5", "4", "0.10"), _LIST),
    Price("claude-sonnet-5", _LAUNCH, _rate("2", "10", "2.5", "4", "0.20"), _LIST),
    Price("claude-sonnet-4-6", _LAUNCH, _SONNET_4, _MULTIPLES),
    Price("claude-sonnet-4-5", _LAUNCH, _SONNET_4, _MULTIPLES),
    Price(
        "claude-haiku-5-5",
        _LAUNCH,
        _rate("0.10", "0.50", "0.125", "0.20", "0.01"),
        _LIST,
        longest_prompt=100_000,
    ),
    Price("claude-haiku-5-5", _LAUNCH, _rate("0.50", "2.50", "0.625", "1", "0.05"), _LIST),
    Price("claude-haiku-4-5", _LAUNCH, _rate("1", "5", "1.25", "2", "0.10"), _MULTIPLES),
)
"""All known prices. A longer prompt is priced completely at the next band."""


PRICED_MODELS = frozenset(price.model for price in PRICES)
"""The models with a known price."""


def is_priced(model: str) -> bool:
    """Whether the model has a known price."""
    return any(True for _ in _prices_of(model))


def price(model: str, usage: Usage, at: datetime) -> Decimal | None:
    """The cost of a call made `at` (aware); None if the model has no known price."""
    rate = _rate_at(model, usage.prompt_tokens, at)
    if rate is None:
        return None
    return _usd(
        usage.input_tokens * rate.input
        + usage.output_tokens * rate.output
        + usage.cache_write_5m_tokens * rate.cache_write_5m
        + usage.cache_write_1h_tokens * rate.cache_write_1h
        + usage.cache_read_tokens * rate.cache_read
    )


def estimate(model: str, prompt_tokens: int, max_tokens: int, at: datetime) -> Decimal | None:
    """The maximum cost of a call: the whole prompt written to the cache, and the longest answer.

    The adapter uses only the five-minute lifetime. None if the model has no known price.
    """
    rate = _rate_at(model, prompt_tokens, at)
    if rate is None:
        return None
    dearest_input = max(rate.input, rate.cache_write_5m)
    return _usd(prompt_tokens * dearest_input + max_tokens * rate.output)


def estimate_tokens(n_bytes: int) -> int:
    """An upper estimate of the tokens in this many bytes of UTF-8 text or JSON, without images."""
    return -(-n_bytes // _BYTES_PER_TOKEN)


def _usd(per_million: Decimal) -> Decimal:
    return (per_million / _PER_TOKENS).quantize(_MICRO_USD, rounding=ROUND_CEILING)


def _rate_at(model: str, prompt_tokens: int, at: datetime) -> Rate | None:
    """The rate of the narrowest band for the prompt, among the prices valid on that day."""
    day = at.astimezone(UTC).date()
    holding = [
        entry
        for entry in _prices_of(model)
        if entry.effective_from <= day and prompt_tokens <= entry.longest_prompt
    ]
    newest = max(holding, key=lambda p: (p.effective_from, -p.longest_prompt), default=None)
    return None if newest is None else newest.rate


def _prices_of(model: str) -> Iterator[Price]:
    name = strip_date(model)
    return (entry for entry in PRICES if entry.model == name)
