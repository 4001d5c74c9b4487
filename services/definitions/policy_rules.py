"""Rules for `thinking` and `human_input_policy`; each problem contains its field."""

from collections.abc import Iterator, Sequence
from typing import Any

from definitions.tasks import SdkOptions, TaskDefinition
from domain.answers import Asked, check_default
from domain.engine_tools import ASK_USER
from domain.errors import FieldProblem
from domain.people import RequestKind
from domain.permissions import Permissions, valid_rules

_POLICY = ("body", "human_input_policy")
_UNPLANNED = (Asked(RequestKind.BUDGET), Asked(RequestKind.EFFECT_CHECK))

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


def input_policy_problems(definition: TaskDefinition) -> Iterator[FieldProblem]:
    """Problems of the policy: a default answer must be explicit, and fit what it would answer."""
    policy = definition.human_input_policy
    if policy.on_expiry == "escalate":
        hint = "Escalation is not available yet; use wait, fail, deny or default."
        yield FieldProblem((*_POLICY, "on_expiry"), hint, "not_available")
    if policy.default_answer is not None:
        yield from _default_problems(definition)
    elif policy.on_expiry == "default":
        hint = 'on_expiry default requires a default_answer, such as {"decision": "deny"}.'
        yield FieldProblem((*_POLICY, "default_answer"), hint, "missing")


def _default_problems(definition: TaskDefinition) -> Iterator[FieldProblem]:
    """Problems of the default answer with each kind of request that it would answer.

    A task that asks no person by its rules may still get a budget request or an effect check.
    """
    default = definition.human_input_policy.default_answer
    asked = _expected_requests(definition.permissions)
    found = [check_default(request, default).problems for request in asked or _UNPLANNED]
    if asked or all(found):
        for problem in next(filter(None, found), ()):
            yield FieldProblem((*_POLICY, "default_answer", problem.loc[-1]), problem.msg)


def _expected_requests(permissions: Permissions) -> Sequence[Asked]:
    """The requests that an execution with these rules can open."""
    found = []
    if permissions.offers(ASK_USER):
        found.append(Asked(RequestKind.QUESTION))
    if permissions.mode != "bypassPermissions":
        found += [
            Asked(RequestKind.APPROVAL, tool_name=tool, permissions=permissions)
            for tool in _tools_to_approve(permissions)
        ]
    return found


def _tools_to_approve(permissions: Permissions) -> Iterator[str]:
    """The tools for which the rules can require approval."""
    asking = [*permissions.ask, *(rule for rule in permissions.allowed if "(" in rule)]
    for rule in valid_rules(asking):
        if rule.tool != ASK_USER:
            yield rule.tool
