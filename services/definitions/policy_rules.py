"""Rules for `thinking` and `human_input_policy`; each problem contains its field."""

from collections.abc import Iterator
from typing import Any

from contracts.definitions import HumanInputPolicy, SdkOptions
from domain.errors import FieldProblem

THINKING = ("adaptive", "enabled", "disabled", "between_tools")
"""Types of `thinking` (Messages API, 2026-11); the provider validates its other fields."""


def thinking_problems(options: SdkOptions) -> Iterator[FieldProblem]:
    """Problems of `thinking` that the provider would refuse in every run."""
    if options.thinking is None:
        return
    loc = ("body", "sdk_options", "thinking")
    kind = options.thinking.get("type")
    if kind not in THINKING:
        yield FieldProblem((*loc, "type"), f"Use one of: {', '.join(THINKING)}.", "enum")
    if kind == "enabled":
        problem = _tokens_problem(options.thinking.get("budget_tokens"), options.max_tokens)
        if problem is not None:
            yield FieldProblem((*loc, "budget_tokens"), problem)


def _tokens_problem(tokens: Any, max_tokens: int | None) -> str | None:
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        return "With type enabled, budget_tokens is required; set a number of tokens."
    if max_tokens is not None and tokens >= max_tokens:
        return f"Use a number less than max_tokens, which is {max_tokens}."
    return None


def input_policy_problems(policy: HumanInputPolicy) -> Iterator[FieldProblem]:
    """Problems of the policy: `on_expiry: default` requires an explicit default answer."""
    if policy.on_expiry == "default" and policy.default_answer is None:
        loc = ("body", "human_input_policy", "default_answer")
        hint = 'on_expiry default requires a default_answer, such as {"decision": "deny"}.'
        yield FieldProblem(loc, hint, "missing")
