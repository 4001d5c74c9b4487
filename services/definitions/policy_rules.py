"""Rules for `thinking` and `human_input_policy`; each problem contains its field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from definitions.tasks import HumanInputPolicy, SdkOptions, TaskDefinition
from domain.errors import FieldProblem
from domain.people.answers import Asked, check_default
from domain.people.requests import RequestKind, group_of
from domain.rules import problems as rule_problems
from domain.rules.permissions import Permissions, valid_rules
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.engine import ASK_USER, ENGINE_TOOLS
from services.definitions.json_schemas import value_problems
from services.identity.groups import missing_group
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
    problems += [*_escalation_problems(policy), *_approver_problems(policy)]
    problems += await _group_problems(work, policy)
    for found in rule_problems.problems(policy.recheck_tools):
        loc = (*_POLICY, "recheck_tools", *found.loc)
        problems.append(FieldProblem(loc, found.msg, found.type))
    if policy.default_answer is not None:
        problems += await _default_problems(work, definition)
    elif "default" in (policy.on_expiry, policy.on_escalation_expiry):
        hint = 'on_expiry default requires a default_answer, such as {"decision": "deny"}.'
        problems.append(FieldProblem((*_POLICY, "default_answer"), hint, "missing"))
    return problems


def _escalation_problems(policy: HumanInputPolicy) -> Iterator[FieldProblem]:
    is_escalated = policy.on_expiry == "escalate"
    if is_escalated and policy.escalate_to is None:
        hint = "on_expiry escalate requires escalate_to, such as group:leads."
        yield FieldProblem((*_POLICY, "escalate_to"), hint, "missing")
    if is_escalated and policy.due_seconds is None:
        hint = "on_expiry escalate requires due_seconds, the time until the escalation."
        yield FieldProblem((*_POLICY, "due_seconds"), hint, "missing")
    if policy.escalate_to is not None and not is_escalated:
        hint = "escalate_to has an effect only with on_expiry escalate."
        yield FieldProblem((*_POLICY, "escalate_to"), hint)


def _approver_problems(policy: HumanInputPolicy) -> Iterator[FieldProblem]:
    """Rules about approvers that no request could satisfy."""
    if policy.approvals_required > 1 and group_of(policy.assignee) is None:
        hint = "Several approvals need several people; set assignee to a group, as group:legal."
        yield FieldProblem((*_POLICY, "assignee"), hint, "missing")
    if policy.starter_may_not_approve and policy.assignee is None:
        hint = "If the starter may not approve, set the assignee who may."
        yield FieldProblem((*_POLICY, "assignee"), hint, "missing")


async def _group_problems(work: UnitOfWork, policy: HumanInputPolicy) -> list[FieldProblem]:
    """Problems of groups that do not exist."""
    problems = []
    for field in ("assignee", "escalate_to"):
        assignee = getattr(policy, field)
        if (hint := await missing_group(work.session, assignee)) is not None:
            problems.append(FieldProblem((*_POLICY, field), hint))
    return problems


async def _default_problems(work: UnitOfWork, definition: TaskDefinition) -> list[FieldProblem]:
    """Problems of the default answer with each kind of request that it would answer.

    A task that asks no person by its rules may still get a budget request or an effect check.
    """
    default = definition.human_input_policy.default_answer
    asked = _list_expected_requests(definition.permissions)
    found = [await _request_problems(work, request, default) for request in asked or _UNPLANNED]
    return next(filter(None, found), []) if asked or all(found) else []


async def _request_problems(work: UnitOfWork, asked: Asked, default: Any) -> list[FieldProblem]:
    check = check_default(asked, default)
    loc = (*_POLICY, "default_answer")
    problems = [FieldProblem((*loc, found.loc[-1]), found.msg) for found in check.problems]
    for schema in check.schemas:
        problems += await value_problems(work, schema.schema, schema.value, (*loc, *schema.loc[1:]))
    return problems


def _list_expected_requests(permissions: Permissions) -> Sequence[Asked]:
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
