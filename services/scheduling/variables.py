"""Variables that the prompts of scheduled tasks have without being given them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain import templates
from persistence.definitions import scheduled_runs
from persistence.definitions.tasks import StoredTask
from persistence.executions.creation import Start, Work

REPORT_CHARS = 8_000
"""The length of `{{last_report}}`: some pages, far less than a prompt can hold (chosen)."""

SCHEDULE_VARIABLES = frozenset({"scheduled_at", "last_success_at", "last_report"})
"""Variables that the prompts of scheduled tasks have without being given them."""


def work_of(task: StoredTask) -> Work:
    """The newest version of a task, as work."""
    return Work(
        definition=TaskDefinition.model_validate(task.definition),
        title=task.row.name,
        is_inline=False,
        task_id=task.row.id,
        task_version=task.row.version,
        tags=task.row.tags,
        is_scheduled=task.row.is_scheduled,
    )


async def with_schedule_variables(
    session: AsyncSession, start: Start, scheduled_at: datetime
) -> Start:
    """The start with the schedule variables that the prompt of a scheduled task uses.

    A value from the caller is used first, then the schedule's, then the task's default, then the
    empty text. The last run is one of the same user.
    """
    work = start.work
    if not work.is_scheduled:
        return start
    used = SCHEDULE_VARIABLES.intersection(templates.names(work.definition.prompt_template))
    used -= start.variables.keys()
    if not used:
        return start
    values: dict[str, Any] = {"scheduled_at": format_time(scheduled_at)}
    if used - {"scheduled_at"}:
        last = await scheduled_runs.find_last_success(session, work.task_id, start.user_id)
        if last is not None:
            values["last_success_at"] = format_time(last.completed_at)
            values["last_report"] = last.text[:REPORT_CHARS]
    for name in SCHEDULE_VARIABLES - values.keys() - work.definition.default_variables.keys():
        values[name] = ""
    return replace(start, known_variables={n: value for n, value in values.items() if n in used})


def format_time(time: datetime) -> str:
    """A time as prompts and clients see it: UTC, whole seconds, `Z`."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
