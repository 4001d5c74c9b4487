"""The fields of a task in forms, which tasks and templates share."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, GetPydanticSchema, TypeAdapter

from api.web.definitions.forms import Field, Section
from definitions.notifications import NotificationConfig
from services.definitions.inputs import (
    SCHEDULE_FLAGS,
    TaskBody,
)

NEW: Mapping[str, Any] = {
    "allowed_tools": ["read_file", "list_files", "search_files"],
    "sdk_options": {"max_budget_usd": 1},
}
"""What the form of a new task contains."""

BASICS = (
    Field("name", is_short=True),
    Field("description", is_short=True),
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
        Field("sdk_options/model", hint="Empty: the default of the server.", is_short=True),
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
        Field("system_prompt"),
        Field(
            "variables_schema",
            "Schema of the variables",
            "JSON Schema. It makes the fields of the run, and is checked at every start.",
        ),
        Field("default_variables", hint="A JSON object."),
    ),
    is_folded=True,
)


def _short_fields(group: str, *fields: tuple[str, str, str]) -> tuple[Field, ...]:
    """Fields of a group in short controls: the name, the label and the hint of each."""
    return tuple(
        Field(f"{group}/{name}", label, hint, is_short=True) for name, label, hint in fields
    )


_PEOPLE = Section(
    "People",
    _short_fields(
        "human_input_policy",
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
            hint="The URL of an incoming webhook, or the secret that holds it. Has buttons: people "
            "who have linked their account of Slack answer there.",
        ),
        Field(
            "notification_config/webhooks",
            hint="JSON, signed with the secret (Standard Webhooks).",
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
    _short_fields(
        "sdk_options",
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
    ),
    is_folded=True,
)

_SHARING = Section(
    "Report, tags and sharing",
    (
        Field("report_format", "Report"),
        Field("tags"),
        Field("is_active", "Active: it can be run"),
        Field("is_public", "Others may read and run it, in their name and with their budget"),
    ),
    is_folded=True,
)

SECTIONS = (
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


_NOTIFICATION_CONFIG: TypeAdapter[NotificationConfig | None] = TypeAdapter(
    NotificationConfig | None
)


def _describe_notifications(_: object, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    return handler(_NOTIFICATION_CONFIG.core_schema)


class TaskFields(TaskBody):
    """A task whose JSON schema, of which the form is made, describes the notifications."""

    notification_config: Annotated[
        dict[str, Any] | None,
        GetPydanticSchema(get_pydantic_json_schema=_describe_notifications),
    ] = None


def complete_task(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a task with those that follow from others."""
    completed = dict(members)
    if "report_format" in members:
        completed["generate_report"] = members["report_format"] is not None
    if "schedule_cron" in members and members["schedule_cron"] is None:
        completed |= dict.fromkeys(SCHEDULE_FLAGS, False)
    return completed


def show_task(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members of a task as the form shows them."""
    given = task.get("notification_config")
    config = given and NotificationConfig.model_validate_json(json.dumps(given))
    shown = config and config.model_dump(mode="json")
    report = task.get("report_format") if task.get("generate_report") else None
    return {**task, "notification_config": shown, "report_format": report}
