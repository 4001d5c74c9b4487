"""What will probably go wrong with a definition that is valid."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.people.requests import group_of
from domain.rules.permissions import valid_rules
from domain.templates import names, normalise, unknown_expressions
from domain.tools.requirements import ToolRequirement, unmet_requirement
from domain.web.network import NetworkList
from persistence.identity import groups, users
from services.model_catalog import ModelCatalog
from services.scheduling.variables import SCHEDULE_VARIABLES


def model_warnings(models: ModelCatalog, model: str | None) -> Sequence[str]:
    """Return a sentence if the model is retired or soon will be."""
    warning = models.warn(model) if model is not None else None
    return [] if warning is None else [warning]


def network_warnings(definition: TaskDefinition, operator: NetworkList) -> Sequence[str]:
    """Return a sentence for each host that the operator no longer allows completely."""
    entries = definition.allowed_network.entries
    return [found for entry in entries if (found := operator.excess_problem(entry)) is not None]


async def approver_warnings(
    session: AsyncSession, definition: TaskDefinition, starter_id: UUID
) -> Sequence[str]:
    """Return a sentence if fewer people can approve a tool call than must.

    These are the members of the group that is asked, and the starter unless the task says
    otherwise. Groups change, so this is no reason to refuse the task.
    """
    policy = definition.human_input_policy
    group = group_of(policy.assignee)
    if policy.approvals_required == 1 or group is None:
        return []
    approvers = await groups.list_subjects(session, group)
    starter = (await users.find_subjects(session, [starter_id])).values()
    if policy.starter_may_not_approve:
        approvers.difference_update(starter)
    else:
        approvers.update(starter)
    if len(approvers) >= policy.approvals_required:
        return []
    lack = f"{policy.approvals_required} people must approve a tool call; only {len(approvers)} can"
    return [f"{lack}. Add members to the group {group!r}, or lower approvals_required."]


def definition_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence for each thing that its author probably did not want."""
    return [*placeholder_warnings(definition), *_requirement_warnings(definition)]


def placeholder_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence for each text in double braces that is no placeholder."""
    return [
        f"{expression} is not a placeholder and stays in the prompt: a name consists of letters, "
        "digits, _ and -."
        for expression in unknown_expressions(definition.prompt_template)
    ]


def unused_variable_warnings(definition: TaskDefinition, given: Iterable[str]) -> Sequence[str]:
    """Return a sentence if the caller gave variables that the task does not have."""
    declared = (definition.variables_schema or {}).get("properties", {})
    used = names(definition.prompt_template)
    known = {*used, *map(normalise, declared)}
    unused = ", ".join(sorted(name for name in given if normalise(name) not in known))
    if not unused:
        return []
    has = f"has the variables {', '.join(used)}" if used else "has no variables"
    return [f"The prompt does not use these variables: {unused}. It {has}."]


def schedule_warnings(definition: TaskDefinition) -> Sequence[str]:
    """Return a sentence if the prompt of a scheduled task has variables without a value."""
    known = {*map(normalise, definition.default_variables), *SCHEDULE_VARIABLES}
    missing = ", ".join(name for name in names(definition.prompt_template) if name not in known)
    if not missing:
        return []
    what = "Scheduled runs have no value for these placeholders"
    return [f"{what}, which stay in the prompt: {missing}. Set default_variables."]


def _requirement_warnings(definition: TaskDefinition) -> Iterator[str]:
    """Yield a sentence for each resource that named tools need and the task does not have."""
    rules = valid_rules([*definition.allowed_tools, *definition.ask_tools])
    unmet: defaultdict[ToolRequirement, list[str]] = defaultdict(list)
    for tool in dict.fromkeys(rule.tool for rule in rules):
        if need := unmet_requirement(tool, definition.resources):
            unmet[need].append(tool)
    for need, tools in unmet.items():
        lack = f"there is no {need.resource}"
        yield f"Not offered, because {lack}: {', '.join(tools)}. {need.remedy}"
