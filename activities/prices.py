"""The cost of model calls from the dated price table; a port of the loop."""

from datetime import UTC, datetime
from decimal import Decimal

from domain.model import pricing
from domain.model.calls import ModelResponse


class ListPrices:
    """The list prices that are valid at the time of the call."""

    def estimate(self, model: str, prompt_bytes: int, max_tokens: int) -> Decimal | None:
        """Return the most a call can cost in USD, or None if the model has no known price."""
        tokens = pricing.estimate_tokens(prompt_bytes)
        return pricing.estimate(model, tokens, max_tokens, datetime.now(UTC))

    def price(self, model: str, response: ModelResponse) -> Decimal | None:
        """Return the cost of a call in USD, or None if there is no known price.

        The price is that of the model that answered, otherwise that of the requested model.
        """
        now = datetime.now(UTC)
        price = pricing.price(response.model, response.usage, now)
        return pricing.price(model, response.usage, now) if price is None else price
