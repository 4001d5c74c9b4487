"""What a task's fields must be beside their types; each problem names its field and the mend."""

import zoneinfo
from collections.abc import Iterator
from functools import cache

from api.auth import Principal
from api.json_schemas import schema_problems
from api.schemas.tasks import TaskCreate
from domain import cron, permissions, pricing
from domain.errors import FieldProblem, InvalidInputError, PermissionDeniedError


def check(task: TaskCreate, principal: Principal, default_model: str) -> None:
    """Make sure that the task can run.

    Raises:
        InvalidInputError: it can't; every problem is told at once.
        PermissionDeniedError: it would take an admin to set what it sets.
    """
    problems = [
        *_tools(task),
        *_schedule(task),
        *_report(task),
        *_schemas(task),
        *_budget(task, default_model),
        *_sharing(task),
    ]
    if problems:
        raise InvalidInputError("The task is invalid; see errors.", problems)
    if task.sdk_options.permission_mode == "bypassPermissions" and not principal.is_admin:
        raise PermissionDeniedError("Only an admin may set permission_mode bypassPermissions.")


def _tools(task: TaskCreate) -> Iterator[FieldProblem]:
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


def _report(task: TaskCreate) -> Iterator[FieldProblem]:
    if task.generate_report and task.report_format is None:
        yield _problem("report_format", "A report needs one: html, pdf, json or markdown.")


def _schemas(task: TaskCreate) -> Iterator[FieldProblem]:
    if task.variables_schema is not None:
        yield from schema_problems(task.variables_schema, ("body", "variables_schema"))
    if task.sdk_options.output_schema is not None:
        loc = ("body", "sdk_options", "output_schema")
        yield from schema_problems(task.sdk_options.output_schema, loc)


def _budget(task: TaskCreate, default_model: str) -> Iterator[FieldProblem]:
    model = task.sdk_options.model or default_model
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


def unpriced(loc: tuple[str, ...], model: str) -> FieldProblem:
    """A budget can only hold where calls have a price."""
    return FieldProblem(
        loc, f"The price of {model!r} is not known, so no budget can hold; leave one of them out."
    )


def _problem(field: str, msg: str) -> FieldProblem:
    return FieldProblem(("body", field), msg)


@cache
def _time_zones() -> frozenset[str]:
    """Every zone there is; from the `tzdata` package where the system has none."""
    return frozenset(zoneinfo.available_timezones())
