"""Rules for `thinking` and `human_input_policy`; each problem contains its field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from definitions.tasks import SdkOptions, TaskDefinition
from domain.answers import Asked, check_default
from domain.builtin_tools import BUILTIN_TOOLS
from domain.engine_tools import ASK_USER, ENGINE_TOOLS
from domain.errors import FieldProblem
from domain.people import RequestKind
from domain.permissions import Permissions, valid_rules
from services.definitions.json_schemas import value_problems
from services.unit_of_work import UnitOfWork

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


async def input_policy_problems(work: UnitOfWork, definition: TaskDefinition) -> list[FieldProblem]:
    """Problems of the policy: a default answer must be explicit, and fit what it would answer."""
    policy = definition.human_input_policy
    problems = []
    if policy.on_expiry == "escalate":
        hint = "Escalation is not available yet; use wait, fail, deny or default."
        problems.append(FieldProblem((*_POLICY, "on_expiry"), hint, "not_available"))
    if policy.default_answer is not None:
        problems += await _default_problems(work, definition)
    elif policy.on_expiry == "default":
        hint = 'on_expiry default requires a default_answer, such as {"decision": "deny"}.'
        problems.append(FieldProblem((*_POLICY, "default_answer"), hint, "missing"))
    return problems


async def _default_problems(work: UnitOfWork, definition: TaskDefinition) -> list[FieldProblem]:
    """Problems of the default answer with each kind of request that it would answer.

    A task that asks no person by its rules may still get a budget request or an effect check.
    """
    default = definition.human_input_policy.default_answer
    asked = _expected_requests(definition.permissions)
    found = [await _request_problems(work, request, default) for request in asked or _UNPLANNED]
    return next(filter(None, found), []) if asked or all(found) else []


async def _request_problems(work: UnitOfWork, asked: Asked, default: Any) -> list[FieldProblem]:
    check = check_default(asked, default)
    loc = (*_POLICY, "default_answer")
    problems = [FieldProblem((*loc, found.loc[-1]), found.msg) for found in check.problems]
    for schema in check.schemas:
        problems += await value_problems(work, schema.schema, schema.value, (*loc, *schema.loc[1:]))
    return problems


def _expected_requests(permissions: Permissions) -> Sequence[Asked]:
    """The requests that an execution with these rules can open."""
    found = []
    if permissions.offers(ASK_USER):
        found.append(Asked(RequestKind.QUESTION))
    if permissions.mode != "bypassPermissions":
        found += [
            Asked(
                RequestKind.APPROVAL,
                tool_name=tool,
                tool_input_schema=_input_schema(tool),
                permissions=permissions,
            )
            for tool in _tools_to_approve(permissions)
        ]
    return found


def _input_schema(tool: str) -> Mapping[str, Any] | None:
    """The schema of a tool's input; None for tools of MCP servers, which are not yet known."""
    spec = BUILTIN_TOOLS.get(tool) or ENGINE_TOOLS.get(tool)
    return spec.input_schema if spec is not None else None


def _tools_to_approve(permissions: Permissions) -> Iterator[str]:
    """The tools for which the rules can require approval."""
    asking = [*permissions.ask, *(rule for rule in permissions.allowed if "(" in rule)]
    for rule in valid_rules(asking):
        if rule.tool != ASK_USER:
            yield rule.tool
