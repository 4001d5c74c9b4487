"""Rules for the fields of tasks; each problem contains its field and how to fix it."""

import json
import zoneinfo
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeVar
from uuid import UUID

from definitions.tasks import NetworkPolicy, TaskDefinition
from domain.agents.agent import BUILT_IN_SLUGS, Agent
from domain.errors import ConflictError, FieldProblem, InvalidInputError, PermissionDeniedError
from domain.model import pricing
from domain.rules import problems as rule_problems
from domain.schedules import cron
from domain.schedules.schedule import TaskSchedule
from domain.templates import MOST_PLACEHOLDERS
from domain.tools.groups import group_named
from domain.web.network import NetworkList
from domain.workspaces import directories as working_directories
from persistence.definitions.schedules import schedule_of
from persistence.tables.definitions import TaskRow
from services.caller import Caller
from services.definitions import mcp_rules, notification_rules, policy_rules, references
from services.definitions.inputs import TaskCreate
from services.definitions.json_schemas import schema_problems
from services.unit_of_work import OperatorSettings, UnitOfWork
from services.validation_messages import body_problem

SHARED_CHARACTERS = 256 * 1024
"""Maximum size of a public definition: the task lists of all users contain it, with up to a hundred
tasks per response (chosen: typical prompts have some thousand characters)."""

D = TypeVar("D", bound=TaskDefinition)


async def check_task(
    work: UnitOfWork, task: TaskCreate, *, owner_id: UUID, before: TaskCreate | None = None
) -> TaskCreate:
    """Check that the task can run; references are resolved for its owner.

    `before` is the task that an update changes: problems that it had already are accepted in fields
    that stay as they are. So a task whose agent was deleted can still be unshared.

    Returns the task with the names of tool groups replaced by their rules.
    """
    resolved, problems = await _find_task_problems(work, task, owner_id)
    if problems and before is not None:
        _, known = await _find_task_problems(work, before, owner_id)
        problems = [p for p in problems if p not in known or _differs(task, before, p)]
    _raise_problems(work.caller, task, problems, "The task is invalid; see errors.")
    return resolved


def _differs(task: TaskCreate, before: TaskCreate, problem: FieldProblem) -> bool:
    field = str(problem.loc[1])
    return bool(getattr(task, field) != getattr(before, field))


async def _find_task_problems(
    work: UnitOfWork, task: TaskCreate, owner_id: UUID
) -> tuple[TaskCreate, list[FieldProblem]]:
    resolved, problems = await _find_problems(work, task, owner_id, is_public=task.is_public)
    return resolved, [*problems, *_schedule_problems(task), *_sharing_problems(task)]


async def check_definition(
    work: UnitOfWork, definition: TaskDefinition, *, owner_id: UUID
) -> TaskDefinition:
    """Check a definition without a task (`check_task`)."""
    resolved, problems = await _find_problems(work, definition, owner_id, is_public=False)
    _raise_problems(work.caller, definition, problems, "The definition is invalid; see errors.")
    return resolved


async def _find_problems(
    work: UnitOfWork, definition: D, owner_id: UUID, *, is_public: bool
) -> tuple[D, list[FieldProblem]]:
    """Return the definition with resolved references, and all its problems."""
    # First, because the evaluation may take a second: a new task has no connection to the database
    # yet, and no row is locked.
    found_in_schemas = await _schema_problems(work, definition)
    session, settings = work.session, work.services.settings
    agent, agent_problems = await references.find_agent(session, owner_id, definition)
    resolved, group_problems = await references.expand_tool_groups(session, owner_id, definition)
    config = definition.notification_config
    return resolved, [
        *_definition_problems(definition, agent, settings),
        *await policy_rules.input_policy_problems(work, resolved),
        *found_in_schemas,
        *agent_problems,
        *group_problems,
        *mcp_rules.inline_problems(definition.sdk_options.mcp_servers, settings.check_url),
        *await references.server_problems(session, owner_id, definition, is_public=is_public),
        *await notification_rules.config_problems(
            work, config, owner_id=owner_id, is_public=is_public
        ),
    ]


def _raise_problems(
    caller: Caller, definition: TaskDefinition, problems: list[FieldProblem], detail: str
) -> None:
    if problems:
        raise InvalidInputError(detail, problems)
    if not caller.is_admin and (refusal := admin_requirement(definition)):
        raise PermissionDeniedError(refusal)


def admin_requirement(definition: TaskDefinition) -> str | None:
    """Why only an admin may store and run this definition; None if any user may."""
    if definition.sdk_options.permission_mode == "bypassPermissions":
        return "Setting permission_mode to bypassPermissions requires the admin role."
    if any(mcp_rules.command_problems(definition.sdk_options.mcp_servers)):
        return "Using a command as MCP server requires the admin role."
    return None


def _definition_problems(
    definition: TaskDefinition, agent: Agent | None, settings: OperatorSettings
) -> Iterator[FieldProblem]:
    if definition.prompt_template.count("{{") > MOST_PLACEHOLDERS:
        hint = f"A prompt has at most {MOST_PLACEHOLDERS:,} placeholders; insert text by fewer."
        yield body_problem("prompt_template", hint, "too_long")
    yield from _tool_problems(definition)
    yield from _report_problems(definition)
    yield from _budget_problems(definition, agent, settings.default_model)
    yield from policy_rules.thinking_problems(definition.sdk_options)
    if definition.working_directory_path is not None:
        path, roots = definition.working_directory_path, settings.working_directories
        if found := working_directories.problem(path, roots):
            yield body_problem("working_directory_path", found)
    yield from network_problems(definition.network, settings.network)


def network_problems(policy: NetworkPolicy | None, operator: NetworkList) -> Iterator[FieldProblem]:
    """Yield a problem for each host that the operator does not allow."""
    entries = policy.parse().entries if policy else ()
    for index, entry in enumerate(entries):
        if found := operator.excess_problem(entry):
            yield FieldProblem(("body", "network", "allow", index), found, "network_not_allowed")


def _tool_problems(task: TaskDefinition) -> Iterator[FieldProblem]:
    for field in references.TOOL_LISTS:
        yield from tool_rule_problems(field, getattr(task, field), may_name_groups=True)


def tool_rule_problems(
    field: str, rules: Sequence[str], *, may_name_groups: bool = False
) -> Iterator[FieldProblem]:
    """Problems of a list of tool rules, except for unknown groups."""
    for found in rule_problems.problems(rules, are_allowing=field == "allowed_tools"):
        if may_name_groups and group_named(rules[int(found.loc[0])]) is not None:
            continue
        yield FieldProblem(("body", field, *found.loc), found.msg, found.type)


def _schedule_problems(task: TaskCreate) -> Iterator[FieldProblem]:
    if task.is_scheduled and task.schedule_cron is None:
        yield body_problem(
            "schedule_cron", "A scheduled task requires schedule_cron, such as '0 9 * * 1-5'."
        )
    if task.schedule_cron is not None:
        try:
            cron.check(task.schedule_cron)
        except cron.CronError as error:
            yield body_problem("schedule_cron", str(error))
    if task.schedule_timezone not in _time_zones():
        yield body_problem(
            "schedule_timezone", "Use an IANA time zone, such as 'Europe/Berlin' or 'UTC'."
        )


def _report_problems(task: TaskDefinition) -> Iterator[FieldProblem]:
    if task.generate_report and task.report_format is None:
        yield body_problem(
            "report_format", "generate_report requires report_format: html, pdf, json or markdown."
        )


async def _schema_problems(work: UnitOfWork, task: TaskDefinition) -> list[FieldProblem]:
    problems: list[FieldProblem] = []
    if task.variables_schema is not None:
        problems += await schema_problems(work, task.variables_schema, ("body", "variables_schema"))
    if task.sdk_options.output_schema is not None:
        loc = ("body", "sdk_options", "output_schema")
        problems += await schema_problems(work, task.sdk_options.output_schema, loc)
    return problems


def _budget_problems(
    task: TaskDefinition, agent: Agent | None, default_model: str
) -> Iterator[FieldProblem]:
    model = choose_model(task, agent, default_model)
    if task.sdk_options.max_budget_usd is not None and not pricing.is_priced(model):
        yield unpriced_problem(("body", "sdk_options", "max_budget_usd"), model)


def _sharing_problems(task: TaskCreate) -> Iterator[FieldProblem]:
    """Problems of a public task: it runs as other users, so it must stay inside its sandbox."""
    if not task.is_public:
        return
    if len(json.dumps(task.to_json(), ensure_ascii=False)) > SHARED_CHARACTERS:
        hint = f"Its definition has more than {SHARED_CHARACTERS} characters; shorten it."
        yield body_problem("is_public", f"A public task cannot be this large. {hint}", "too_long")
    yield from passed_on_problems(task)
    if task.agent_id is not None and task.agent_id not in BUILT_IN_SLUGS:
        hint = "Use a built-in agent, or copy the agent's system prompt into the task."
        yield body_problem("agent_id", f"A public task cannot use your own agents. {hint}")


def passed_on_problems(definition: TaskDefinition) -> Iterator[FieldProblem]:
    """What a public task or template must not let other users run."""
    if definition.sdk_options.permission_mode == "bypassPermissions":
        loc = ("body", "sdk_options", "permission_mode")
        hint = "What is public cannot use bypassPermissions; use another permission_mode."
        yield FieldProblem(loc, hint)
    yield from mcp_rules.command_problems(definition.sdk_options.mcp_servers)
    if definition.working_directory_path is not None:
        hint = "What is public cannot use a directory of the host; remove this field."
        yield body_problem("working_directory_path", hint)
    if definition.network is not None:
        hint = "What is public cannot open the network for other users; remove this field."
        yield body_problem("network", hint)
    if definition.memory is not None:
        hint = "What is public cannot use the memory of other users; remove this field."
        yield body_problem("memory", hint)


def require_schedule(row: TaskRow) -> TaskSchedule:
    """Return the schedule of a task.

    Raises:
        ConflictError: it has no schedule.
    """
    schedule = schedule_of(row, None)
    if schedule is None:
        raise ConflictError("This task has no schedule; set is_scheduled and schedule_cron.")
    return schedule


def choose_model(definition: TaskDefinition, agent: Agent | None, default_model: str) -> str:
    """The model to use: from the definition, its agent or the settings, in this order."""
    return definition.sdk_options.model or (agent and agent.model) or default_model


def unpriced_problem(loc: tuple[str | int, ...], model: str) -> FieldProblem:
    """Problems of the budget: the price of the model must be known."""
    return FieldProblem(
        loc,
        f"The price of {model!r} is unknown, so a budget is not possible; remove the budget or "
        "use another model.",
    )


@cache
def _time_zones() -> frozenset[str]:
    """All time zones, from the `tzdata` package if the system has none.

    Without the two zones that depend on the machine.
    """
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})
