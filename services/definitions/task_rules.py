"""What a task's fields must be beside their types; each problem names its field and the mend."""

import json
import zoneinfo
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeVar
from uuid import UUID

from contracts.definitions import TaskDefinition
from domain import cron, permissions, pricing, working_directories
from domain.agents import BUILT_IN_SLUGS, Agent
from domain.errors import ConflictError, FieldProblem, InvalidInputError, PermissionDeniedError
from domain.tool_groups import group_named
from persistence.tables.tasks import TaskRow
from services.caller import Caller
from services.definitions import mcp_rules, notification_rules, policy_rules, references
from services.definitions.inputs import TaskCreate
from services.definitions.json_schemas import schema_problems
from services.unit_of_work import OperatorSettings, UnitOfWork

SHARED_CHARACTERS = 256 * 1024
"""Of a public task's definition: everybody's list of tasks carries it, a hundred of them in one
answer (chosen: prompts of people have some thousands)."""

D = TypeVar("D", bound=TaskDefinition)


async def check(work: UnitOfWork, task: TaskCreate, *, owner_id: UUID) -> TaskCreate:
    """Make sure that the task can run; what it names is looked up among its owner's things.

    Returns the task as it runs: with the rules of its tool groups in place of their names.

    Raises:
        InvalidInputError: it can't; every problem is told at once.
        PermissionDeniedError: it would take an admin to set what it sets.
    """
    runs, problems = await _problems(work, task, owner_id, is_public=task.is_public)
    problems += [*_schedule(task), *_sharing(task)]
    _refuse(work.caller, task, problems, "The task is invalid; see errors.")
    return runs


async def check_definition(
    work: UnitOfWork, definition: TaskDefinition, *, owner_id: UUID
) -> TaskDefinition:
    """The same of a definition that belongs to no task; see `check`."""
    runs, problems = await _problems(work, definition, owner_id, is_public=False)
    _refuse(work.caller, definition, problems, "The definition is invalid; see errors.")
    return runs


async def _problems(
    work: UnitOfWork, definition: D, owner_id: UUID, *, is_public: bool
) -> tuple[D, list[FieldProblem]]:
    """The definition as it runs, and everything that is wrong with it."""
    session, settings = work.session, work.services.settings
    agent, no_agent = await references.agent_of(session, owner_id, definition)
    runs, no_groups = await references.expanded(session, owner_id, definition)
    config = definition.notification_config
    return runs, [
        *_definition(definition, agent, settings),
        *no_agent,
        *no_groups,
        *mcp_rules.inline_problems(definition.sdk_options.mcp_servers, settings.check_url),
        *await references.server_problems(session, owner_id, definition, is_public=is_public),
        *await notification_rules.problems(work, config, owner_id=owner_id, is_public=is_public),
    ]


def _refuse(
    caller: Caller, definition: TaskDefinition, problems: list[FieldProblem], detail: str
) -> None:
    if problems:
        raise InvalidInputError(detail, problems)
    if caller.is_admin:
        return
    if definition.sdk_options.permission_mode == "bypassPermissions":
        raise PermissionDeniedError("Only an admin may set permission_mode bypassPermissions.")
    if any(mcp_rules.commands(definition.sdk_options.mcp_servers)):
        raise PermissionDeniedError("Only an admin may give a command as MCP server.")


def _definition(
    definition: TaskDefinition, agent: Agent | None, settings: OperatorSettings
) -> Iterator[FieldProblem]:
    yield from _tools(definition)
    yield from _report(definition)
    yield from _schemas(definition)
    yield from _budget(definition, agent, settings.default_model)
    yield from policy_rules.thinking_problems(definition.sdk_options)
    yield from policy_rules.people_problems(definition.human_input_policy)
    if definition.working_directory_path is not None:
        path, roots = definition.working_directory_path, settings.working_directories
        if found := working_directories.problem(path, roots):
            yield _problem("working_directory_path", found)


def _tools(task: TaskDefinition) -> Iterator[FieldProblem]:
    for field in references.TOOL_LISTS:
        yield from rule_problems(field, getattr(task, field), may_name_groups=True)


def rule_problems(
    field: str, rules: Sequence[str], *, may_name_groups: bool = False
) -> Iterator[FieldProblem]:
    """What is wrong with a list of tool rules, except that a group it names may be missing."""
    for found in permissions.problems(rules):
        if may_name_groups and group_named(rules[int(found.loc[0])]) is not None:
            continue
        yield FieldProblem(("body", field, *found.loc), found.msg, found.type)


def _schedule(task: TaskCreate) -> Iterator[FieldProblem]:
    if task.is_scheduled and task.schedule_cron is None:
        yield _problem("schedule_cron", "A scheduled task needs one, such as '0 9 * * 1-5'.")
    if task.schedule_cron is not None:
        try:
            cron.check(task.schedule_cron)
        except cron.CronError as error:
            yield _problem("schedule_cron", str(error))
    if task.schedule_timezone not in _time_zones():
        yield _problem("schedule_timezone", "Write an IANA zone, such as 'Europe/Berlin' or 'UTC'.")


def _report(task: TaskDefinition) -> Iterator[FieldProblem]:
    if task.generate_report and task.report_format is None:
        yield _problem("report_format", "A report needs one: html, pdf, json or markdown.")


def _schemas(task: TaskDefinition) -> Iterator[FieldProblem]:
    if task.variables_schema is not None:
        yield from schema_problems(task.variables_schema, ("body", "variables_schema"))
    if task.sdk_options.output_schema is not None:
        loc = ("body", "sdk_options", "output_schema")
        yield from schema_problems(task.sdk_options.output_schema, loc)


def _budget(
    task: TaskDefinition, agent: Agent | None, default_model: str
) -> Iterator[FieldProblem]:
    model = model_of(task, agent, default_model)
    if task.sdk_options.max_budget_usd is not None and not pricing.is_priced(model):
        yield unpriced(("body", "sdk_options", "max_budget_usd"), model)


def _sharing(task: TaskCreate) -> Iterator[FieldProblem]:
    """A public task runs in the name of others, so it may not reach past its own sandbox."""
    if not task.is_public:
        return
    if len(json.dumps(task.stored(), ensure_ascii=False)) > SHARED_CHARACTERS:
        hint = f"Its definition has over {SHARED_CHARACTERS} characters; others' lists carry it."
        yield _problem("is_public", f"A public task can't be so large. {hint}", "too_long")
    if task.sdk_options.permission_mode == "bypassPermissions":
        loc = ("body", "sdk_options", "permission_mode")
        yield FieldProblem(loc, "A public task can't bypass permissions.")
    yield from mcp_rules.commands(task.sdk_options.mcp_servers)
    if task.working_directory_path is not None:
        yield _problem("working_directory_path", "A public task has none; leave it out.")
    if task.agent_id is not None and task.agent_id not in BUILT_IN_SLUGS:
        hint = "Others don't have your agents: name a built-in one, or write its words here."
        yield _problem("agent_id", f"A public task can't name an agent of yours. {hint}")


def require_scheduled(row: TaskRow) -> None:
    """Refuse a task without a schedule.

    Raises:
        ConflictError: it has no schedule.
    """
    if not row.is_scheduled:
        raise ConflictError("This task has no schedule; set is_scheduled and schedule_cron.")


def model_of(definition: TaskDefinition, agent: Agent | None, default_model: str) -> str:
    """The model that runs: the definition's own, else its agent's, else the operator's."""
    return definition.sdk_options.model or (agent and agent.model) or default_model


def unpriced(loc: tuple[str, ...], model: str) -> FieldProblem:
    """A budget can only hold where calls have a price."""
    return FieldProblem(
        loc, f"The price of {model!r} is not known, so no budget can hold; leave one of them out."
    )


def _problem(field: str, msg: str, kind: str = "value_error") -> FieldProblem:
    return FieldProblem(("body", field), msg, kind)


@cache
def _time_zones() -> frozenset[str]:
    """Every zone there is; from the `tzdata` package where the system has none.

    Without the two that mean something else on every machine.
    """
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})
