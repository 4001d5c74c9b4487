"""What a task's fields must be beside their types; each problem names its field and the mend."""

import difflib
import zoneinfo
from collections.abc import Iterator
from functools import cache
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api import notification_rules
from api.calls import Call
from api.json_schemas import schema_problems
from api.schemas.tasks import TaskCreate
from contracts.definitions import TaskDefinition
from domain import cron, permissions, pricing, working_directories
from domain.agents import Agent
from domain.errors import FieldProblem, InvalidInputError, PermissionDeniedError
from domain.specialists import BUILT_IN
from persistence import agents
from runtime.settings import Settings

SUGGESTED_FROM = 1000
"""Slugs of a user's own that a misspelt one is compared with (chosen)."""


async def check(session: AsyncSession, call: Call, task: TaskCreate, *, owner_id: UUID) -> None:
    """Make sure that the task can run; what it names is looked up among its owner's things.

    Raises:
        InvalidInputError: it can't; every problem is told at once.
        PermissionDeniedError: it would take an admin to set what it sets.
    """
    agent, unknown = await agent_of(session, owner_id, task)
    problems = [
        *_definition(task, agent, call.gateway.settings),
        *unknown,
        *await notification_rules.problems(
            session, call, task.notification_config, owner_id=owner_id
        ),
        *_schedule(task),
        *_sharing(task),
    ]
    _refuse(call, task, problems, "The task is invalid; see errors.")


async def check_definition(
    session: AsyncSession, call: Call, definition: TaskDefinition, *, owner_id: UUID
) -> None:
    """The same of a definition that belongs to no task; `check` says what it raises."""
    agent, unknown = await agent_of(session, owner_id, definition)
    problems = [
        *_definition(definition, agent, call.gateway.settings),
        *unknown,
        *await notification_rules.problems(
            session, call, definition.notification_config, owner_id=owner_id
        ),
    ]
    _refuse(call, definition, problems, "The definition is invalid; see errors.")


def _refuse(
    call: Call, definition: TaskDefinition, problems: list[FieldProblem], detail: str
) -> None:
    if problems:
        raise InvalidInputError(detail, problems)
    is_bypassing = definition.sdk_options.permission_mode == "bypassPermissions"
    if is_bypassing and not call.principal.is_admin:
        raise PermissionDeniedError("Only an admin may set permission_mode bypassPermissions.")


async def agent_of(
    session: AsyncSession, owner_id: UUID, definition: TaskDefinition
) -> tuple[Agent | None, list[FieldProblem]]:
    """The agent that a definition of this user names, or the problem that there is none."""
    if definition.agent_id is None:
        return None, []
    agent = await agents.find(session, owner_id, definition.agent_id)
    return agent, [] if agent else [await _no_agent(session, owner_id, definition.agent_id)]


async def _no_agent(session: AsyncSession, owner_id: UUID, slug: str) -> FieldProblem:
    known = await agents.slugs(session, owner_id, limit=SUGGESTED_FROM)
    alike = difflib.get_close_matches(slug, known, 1)
    hint = f"Did you mean {alike[0]!r}?" if alike else f"Built in are: {', '.join(BUILT_IN)}."
    return _problem("agent_id", f"There is no agent {slug!r:.120}. {hint}", "unknown_agent")


def _definition(
    definition: TaskDefinition, agent: Agent | None, settings: Settings
) -> Iterator[FieldProblem]:
    yield from _tools(definition)
    yield from _report(definition)
    yield from _schemas(definition)
    yield from _budget(definition, agent, settings.model)
    if definition.working_directory_path is not None:
        path, roots = definition.working_directory_path, settings.working_directories
        if found := working_directories.problem(path, roots):
            yield _problem("working_directory_path", found)


def _tools(task: TaskDefinition) -> Iterator[FieldProblem]:
    lists = {
        "allowed_tools": task.allowed_tools,
        "ask_tools": task.ask_tools,
        "disallowed_tools": task.disallowed_tools,
    }
    for field, rules in lists.items():
        for found in permissions.problems(rules):
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
    if task.sdk_options.permission_mode == "bypassPermissions":
        loc = ("body", "sdk_options", "permission_mode")
        yield FieldProblem(loc, "A public task can't bypass permissions.")
    for name, server in task.sdk_options.mcp_servers.items():
        if isinstance(server, dict) and "command" in server:
            where = ("body", "sdk_options", "mcp_servers", name)
            yield FieldProblem(where, "A public task can't start commands; name a server's url.")
    if task.working_directory_path is not None:
        yield _problem("working_directory_path", "A public task has none; leave it out.")
    if task.agent_id is not None and task.agent_id not in BUILT_IN:
        hint = "Others don't have your agents: name a built-in one, or write its words here."
        yield _problem("agent_id", f"A public task can't name an agent of yours. {hint}")


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
    """Every zone there is; from the `tzdata` package where the system has none."""
    return frozenset(zoneinfo.available_timezones())
