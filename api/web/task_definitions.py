"""The forms of tasks and of templates: all their fields, and how they are stored."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field as Bounds
from sqlalchemy.ext.asyncio import AsyncSession

from api.web.definition_forms import Field, Section
from api.web.definition_pages import DefinitionPages, ResourceStore
from api.web.page_forms import make_body
from definitions.notifications import NotificationConfig
from definitions.tasks import TaskDefinition
from persistence.definitions.dependents import Dependent
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskRow, TaskTemplateRow
from reports.phrases import count_of
from services.caller import Caller
from services.definitions import tasks
from services.definitions.inputs import (
    SCHEDULE_FLAGS,
    Name,
    Parameter,
    TaskBody,
    TaskCreate,
    TaskTemplateCreate,
    TaskTemplateUpdate,
    TaskUpdate,
)
from services.definitions.task_templates import TASK_TEMPLATES
from services.executions.access import own_task
from services.unit_of_work import Precondition, UnitOfWork

NEW: Mapping[str, Any] = {
    "allowed_tools": ["read_file", "list_files", "search_files"],
    "sdk_options": {"max_budget_usd": 1},
}
"""What the form of a new task contains."""

_BASICS = (
    Field("name", "Name", is_short=True),
    Field("description", "Description", is_short=True),
)
_PROMPT = Field(
    "prompt_template", "Prompt", "Placeholders such as {{ day }} become fields of the run."
)
_OF_ITS_TASKS = (
    Field("task/description", "Description of its tasks", is_short=True),
    Field("task/prompt_template", "Prompt"),
)
_PARAMETERS = Field(
    "parameters", "Placeholders of the prompt", "One without a default must be filled in."
)
_TOOLS = Section(
    "Tools",
    (
        Field(
            "allowed_tools",
            "Tools that may run",
            "Such as read_file, bash(git status), mcp__github__search, group:NAME.",
        ),
        Field("ask_tools", "Tools that need an approval", "A person is asked before each call."),
        Field("disallowed_tools", "Tools that never run"),
    ),
)
_LIMITS = Section(
    "Model and budget",
    (
        Field(
            "sdk_options/max_budget_usd",
            "Budget in USD",
            "A call that does not fit asks a person.",
        ),
        Field("sdk_options/model", "Model", "Empty: the default of the server.", is_short=True),
        Field("agent_id", "Agent", "A specialist, such as reviewer.", is_short=True),
    ),
)
_SCHEDULE = Section(
    "Schedule",
    (
        Field("schedule_cron", "Cron expression", "Such as 30 2 * * 1-5.", is_short=True),
        Field("schedule_timezone", "Time zone", "Such as Europe/Berlin.", is_short=True),
    ),
    preview="/tasks/cron",
)
_MORE_SCHEDULE = Section(
    "More about the schedule",
    (
        Field("schedule_overlap_policy", "If the run before has not ended"),
        Field(
            "schedule_catchup_window_seconds",
            "Catch up",
            "Seconds: runs that were missed for at most this time start late.",
        ),
        Field("schedule_jitter_seconds", "Spread", "Seconds: each run starts up to this late."),
    ),
    is_folded=True,
)
_VARIABLES = Section(
    "Variables and instructions",
    (
        Field("system_prompt", "System prompt"),
        Field(
            "variables_schema",
            "Schema of the variables",
            "JSON Schema. It makes the fields of the run, and is checked at every start.",
        ),
        Field("default_variables", "Default variables", "A JSON object."),
    ),
    is_folded=True,
)
_PEOPLE = Section(
    "People",
    tuple(
        Field(f"human_input_policy/{name}", label, hint, is_short=True)
        for name, label, hint in (
            ("assignee", "Who is asked", "A user, or a group: group:legal. Empty: the owner."),
            ("mode", "If a person is needed", ""),
            ("due_seconds", "Due after", "Seconds; a day has 86,400."),
            ("on_expiry", "If there is no answer in time", ""),
            ("default_answer", "Default answer", 'Such as {"decision": "deny"}.'),
            ("remind_after_seconds", "Reminders", "Seconds after the question, such as 3600."),
            ("escalate_to", "Escalate to", "A user or a group, if the answer is late."),
            ("on_escalation_expiry", "If that answer is late, too", ""),
            ("approvals_required", "Approvals that a tool call needs", "More than one: a group."),
            ("starter_may_not_approve", "Another person than the starter must approve", ""),
            (
                "recheck_tools",
                "Tools to check again",
                "Rules such as bash(git push *). The model is asked again if an approval is late.",
            ),
            ("on_unknown_effect", "If a crash interrupts a tool call", "auto: by its effects."),
        )
    ),
    is_folded=True,
)
_NOTIFICATIONS = Section(
    "Notifications",
    (
        Field(
            "notification_config/email",
            "Mail",
            "Has answer links: messages contain a link that answers once as the owner, without a "
            "sign-in. Events: separated by commas; empty: requests and ends.",
        ),
        Field(
            "notification_config/slack",
            "Slack",
            "The URL of an incoming webhook, or the secret that holds it. Has buttons: people who "
            "have linked their account of Slack answer there.",
        ),
        Field(
            "notification_config/webhooks",
            "Webhooks",
            "JSON, signed with the secret (Standard Webhooks).",
        ),
    ),
    is_folded=True,
)
_REACH = Section(
    "Network, memory and files",
    (
        Field("network/allow", "Hosts", "Such as api.example.com, *.example.org:443. Empty: none."),
        Field("memory/namespaces", "Memory", "Write includes reading. Empty: none."),
        Field("working_directory_path", "Directory", "On the worker's machine.", is_short=True),
        Field(
            "artifact_retention_seconds",
            "Keep artifacts for",
            "Seconds after the end; a day has 86,400. Empty: forever.",
        ),
    ),
    is_folded=True,
)
_OPTIONS = Section(
    "More about the model",
    tuple(
        Field(f"sdk_options/{name}", label, hint, is_short=True)
        for name, label, hint in (
            ("permission_mode", "Permissions", "plan: it submits a plan before it changes things."),
            ("effort", "Effort", ""),
            ("max_turns", "Model calls at most", ""),
            ("max_tokens", "Tokens of an answer at most", ""),
            ("timeout_seconds", "Running time at most", "Seconds, without waiting for people."),
            ("temperature", "Temperature", "From 0 to 1."),
            ("thinking", "Thinking", "As in the Messages API."),
            ("mcp_servers", "MCP servers", "Names of registered servers, or inline servers."),
            ("output_schema", "Schema of the result", "The result is checked against it."),
            ("compaction_tokens", "Summarise from", "Tokens of a prompt, such as 150000."),
            ("segment_turns", "Model calls in one activity", "Empty: as many as fit."),
        )
    ),
    is_folded=True,
)
_SHARING = Section(
    "Report, tags and sharing",
    (
        Field("report_format", "Report"),
        Field("tags", "Tags"),
        Field("is_active", "Active: it can be run"),
        Field("is_public", "Others may read and run it, in their name and with their budget"),
    ),
    is_folded=True,
)

_AFTER_BASICS = (
    _TOOLS,
    _LIMITS,
    _SCHEDULE,
    _MORE_SCHEDULE,
    _VARIABLES,
    _PEOPLE,
    _NOTIFICATIONS,
    _REACH,
    _OPTIONS,
    _SHARING,
)


class TaskFields(TaskBody):
    """A task with typed notifications."""

    notification_config: NotificationConfig | None = None  # type: ignore[assignment]


class TaskForm(TaskFields):
    """A task in a form."""

    name: Name


class ParameterForm(Parameter):
    """A parameter in a form, which has texts only."""

    default: Annotated[str | None, Bounds(description="")] = None


class TemplateForm(TaskTemplateCreate):
    """A template in a form."""

    parameters: Annotated[tuple[ParameterForm, ...], Bounds(max_length=50)] = ()
    task: TaskFields


class TaskStore:
    """Stores forms of tasks."""

    async def find(self, session: AsyncSession, caller: Caller, key: UUID) -> StoredTask:
        """Return a task of the caller (`DefinitionStore.find`)."""
        return await own_task(session, caller, key, lock=False)

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> TaskRow:
        """Create a task (`DefinitionStore.create`)."""
        body = make_body(TaskCreate, _complete_task(members))
        return (await tasks.create_task(work, body)).row

    async def update(
        self, work: UnitOfWork, key: UUID, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Change a task (`DefinitionStore.update`)."""
        body = make_body(TaskUpdate, _complete_task(members))
        await tasks.update_task(work, key, body, lambda stored: precondition(stored.row))

    async def delete(self, work: UnitOfWork, key: UUID) -> None:
        """Delete a task. Its executions stay readable (`DefinitionStore.delete`)."""
        await tasks.delete_task(work, key, lambda _: None)

    async def dependents(self, work: UnitOfWork, row: TaskRow) -> Sequence[Dependent]:
        """Nothing names a task (`DefinitionStore.dependents`)."""
        del work, row
        return ()


class TemplateStore(ResourceStore):
    """Stores forms of templates."""

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> TaskTemplateRow:
        """Create a template (`DefinitionStore.create`)."""
        members["task"] = _complete_task(members["task"])
        row: TaskTemplateRow = await super().create(work, members)
        return row

    async def update(
        self, work: UnitOfWork, key: UUID, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Change a template; a default that was not changed stays the value that it was."""
        row = await TASK_TEMPLATES.find(work.session, work.caller, key)
        known = {of["name"]: of.get("default") for of in row.parameters}
        for parameter in members.get("parameters", ()):
            before = known.get(parameter.get("name"))
            if before is not None and _write_default(before) == parameter.get("default"):
                parameter["default"] = before
        if "task" in members:
            task = members["task"] = _complete_task(members["task"])
            if row.task.get("schedule_cron") == task.get("schedule_cron"):
                task |= {flag: row.task[flag] for flag in SCHEDULE_FLAGS if flag in row.task}
        await super().update(work, key, members, precondition)


def _complete_task(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a task with those that follow from others."""
    completed = dict(members)
    if "report_format" in members:
        completed["generate_report"] = members["report_format"] is not None
    if "schedule_cron" in members and members["schedule_cron"] is None:
        completed |= dict.fromkeys(SCHEDULE_FLAGS, False)
    return completed


def _read_task(stored: StoredTask) -> Mapping[str, Any]:
    row, definition = stored.row, TaskDefinition.model_validate(stored.definition)
    columns = {name: getattr(row, name) for name in tasks.TASK_FIELDS}
    return _shown({**definition.model_dump(mode="json"), **columns, **(row.entered_tools or {})})


def _read_template(row: TaskTemplateRow) -> Mapping[str, Any]:
    parameters = [{**of, "default": _write_default(of.get("default"))} for of in row.parameters]
    return {
        **TASK_TEMPLATES.body_fields(row),
        "parameters": parameters,
        "task": _shown(row.task),
    }


def _shown(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members of a task as the form shows them."""
    given = task.get("notification_config")
    config = given and NotificationConfig.model_validate_json(json.dumps(given))
    shown = config and config.model_dump(mode="json")
    report = task.get("report_format") if task.get("generate_report") else None
    return {**task, "notification_config": shown, "report_format": report}


def _write_default(value: Any) -> str | None:
    is_text = value is None or isinstance(value, str)
    return value if is_text else json.dumps(value, ensure_ascii=False)


def _template_facts(row: TaskTemplateRow) -> list[str]:
    names = ", ".join(of["name"] for of in row.parameters)
    parameters = count_of(len(row.parameters), "parameter") + (f": {names}" if names else "")
    return [*(["public"] if row.is_public else []), parameters]


TASK_PAGES = DefinitionPages(
    path="/tasks",
    texts={
        "title": "Tasks",
        "noun": "task",
        "change": "Executions in progress keep the version that they started with.",
        "delete": "Its executions stay readable; its schedule stops.",
    },
    store=TaskStore(),
    model=TaskForm,
    sections=(
        Section("", (*_BASICS, _PROMPT)),
        *_AFTER_BASICS,
    ),
    new=NEW,
    read_row=_read_task,
    row_of=lambda stored: stored.row,
    key="task_id",
    has_own_page=True,
)

TEMPLATE_PAGES = DefinitionPages(
    path="/templates",
    texts={
        "title": "Templates",
        "noun": "template",
        "lead": "Tasks with parameters. Fill them in, and a template becomes a task.",
        "empty": "Write a task once with placeholders such as {{ customer }}, and make a task for "
        "each customer from it.",
        "change": "Placeholders of the parameters get their values when a task is created; other "
        "placeholders become variables of its runs.",
        "delete": "Tasks that were created from it stay.",
    },
    store=TemplateStore(TASK_TEMPLATES, TaskTemplateCreate, TaskTemplateUpdate),
    model=TemplateForm,
    sections=(
        Section("", (*_BASICS, *_OF_ITS_TASKS)),
        Section("Parameters", (_PARAMETERS,)),
        *(section.below("task") for section in _AFTER_BASICS),
        Section("Sharing", (Field("is_public", "Others may create tasks from it"),)),
    ),
    new={"task": NEW},
    read_row=_read_template,
    facts=_template_facts,
    list_rows=TASK_TEMPLATES.page,
    key="template_id",
    base="task",
    has_own_page=True,
)
