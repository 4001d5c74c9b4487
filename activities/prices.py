"""What calls cost, from the dated table; the loop's port."""

from datetime import UTC, datetime
from decimal import Decimal

from domain import pricing
from domain.model_calls import ModelResponse


class ListPrices:
    """Prices as the table has them now."""

    def estimate(self, model: str, prompt_bytes: int, max_tokens: int) -> Decimal | None:
        """The most a call can cost in USD, or None where the model has no known price."""
        tokens = pricing.estimate_tokens(prompt_bytes)
        return pricing.estimate(model, tokens, max_tokens, datetime.now(UTC))

    def price(self, model: str, response: ModelResponse) -> Decimal | None:
        """What a call did cost in USD, at the price of the model that answered if it has one."""
        now = datetime.now(UTC)
        answered_by = pricing.price(response.model, response.usage, now)
        return pricing.price(model, response.usage, now) if answered_by is None else answered_by
