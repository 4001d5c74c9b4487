"""Texts of the OpenAPI document that belong to no single route: tags, parameters, examples."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

TAGS: Mapping[str, str] = {
    "tasks": "Reusable definitions: prompt, tools, model, schedule, report.",
    "executions": "Runs of tasks: start, follow, cancel, retry, fork, and read what they did.",
    "files": "The workspaces of executions.",
    "input requests": "Questions and approvals that wait for people.",
    "sessions": "Conversations with their transcripts.",
    "schedules": "When tasks run automatically.",
    "hooks": "Secret URLs that execute a task.",
    "reports": "What executions did, as HTML, PDF, Markdown or JSON.",
    "artifacts": "Stored files of executions, and uploads.",
    "plans": "Steps that depend on each other, and run as one.",
    "queue": "Work for people and other systems, claimed with a lease.",
    "agents": "Reusable roles that tasks and sessions can name.",
    "memory": "Data that several executions and agents use.",
    "tool groups": "Lists of tool rules.",
    "task templates": "Tasks with parameters.",
    "MCP servers": "Servers whose tools tasks can use.",
    "secrets": "Values that tools use and no user can read.",
    "notifications": "Webhooks, mail and Slack messages, with their deliveries.",
    "usage": "Tokens, cost and time.",
    "users": "You, and your API keys.",
    "admin": "Users, quotas and statistics, for admins.",
    "audit": "Who changed what, in a log that shows whether it was altered.",
    "health": "Whether the gateway can process requests.",
}
"""The tags with their descriptions, in the order in which a new client needs them."""

PARAMETERS: Mapping[str, str] = {
    "page": "The number of the page, from 1. `cursor` overrides it.",
    "page_size": "The maximum number of items of a page.",
    "cursor": "`next_cursor` of the previous page.",
    "wait": "Seconds to wait for the end of the execution, or until it waits for a person.",
    "status": "Only this status.",
    "statuses": "Only these statuses, separated by commas.",
    "kind": "Only this kind.",
    "type": "Only this type.",
    "format": "The format.",
    "tag": "Only those with this tag.",
    "tags": "Only those with all of these tags, separated by commas.",
    "q": "Words to look for.",
    "after": "Only items after this number.",
    "limit": "The maximum number of items.",
    "owner": "The subject of the user whose memory it is. (default: you)",
    "version": "The number of the version. (default: the newest)",
    "namespace": "The namespace, such as `user:alice`.",
    "key": "The key.",
    "name": "The name.",
    "token": "The secret part of the hook's URL.",
    "from": "At this time or later (RFC 3339).",
    "to": "Before this time (RFC 3339).",
    "created_from": "Created at this time or later (RFC 3339).",
    "created_to": "Created before this time (RFC 3339).",
    "from_seq": "The number of the first seal to verify.",
    "group_by": "What the totals are grouped by.",
    "trigger_type": "Only executions that were started in this way.",
    "is_scheduled": "Only tasks with a schedule, or only those without.",
    "is_active": "Only active tasks, or only inactive ones.",
    "is_interactive": "Only sessions that a person started, or only those of tasks.",
    "is_builtin": "Only built-in agents, or only your own.",
    "is_disabled": "Only disabled users, or only the others.",
    "assignee": "Only requests that are assigned to this user.",
    "entity_type": "Only changes of this kind of resource.",
    "entity_id": "Only changes of this resource.",
    "action": "Only this action, such as `task.update`.",
    "actor": "Only changes by this user: an id or a subject.",
    "subject": "Only the user with this subject.",
    "role": "Only users with this role.",
    "parent_id": "Only subtasks of this execution.",
    "path": "A path in the workspace.",
    "agent_id": "The slug of the agent, such as `reviewer`.",
    "media_type": "The media type of the content.",
    "execution_ids": "Only these executions, separated by commas.",
    "dry_run": "Check the request and return the result without storing anything.",
}
"""Descriptions of parameters that mean the same in every operation."""

_IDS: Mapping[str, str] = {
    "execution_id": "execution",
    "task_id": "task",
    "session_id": "session",
    "request_id": "input request",
    "template_id": "template",
    "server_id": "MCP server",
    "group_id": "group",
    "key_id": "API key",
    "hook_id": "hook",
    "report_id": "report",
    "notification_id": "notification",
    "artifact_id": "artifact",
    "grant_id": "grant",
    "user_id": "user",
    "audit_id": "entry",
    "plan_id": "plan",
    "rule_id": "remembered decision",
}


def describe_parameter(name: str, place: str) -> str | None:
    """The description of a parameter in the path or the query."""
    if name in _IDS:
        noun = _IDS[name]
        return f"The id of the {noun}." if place == "path" else f"Only what belongs to this {noun}."
    return PARAMETERS.get(name)


def summarize(description: str) -> str:
    """The first sentence of a description, without its full stop."""
    first = " ".join(description.split("\n\n", 1)[0].split())
    return first.split(". ", 1)[0].removesuffix(".")


def load_examples() -> Mapping[str, Any]:
    """A body for each operation that takes one, by the operation's id."""
    text = (files("api.http") / "examples.json").read_text(encoding="utf-8")
    examples: dict[str, Any] = json.loads(text)
    return examples


def without_defaults(schema: Any) -> Any:
    """A schema of a request whose defaults are in the descriptions.

    Generators of clients make a property with a default one that must be given.
    """
    if isinstance(schema, list):
        return [without_defaults(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: without_defaults(value) for name, value in schema.items()}
    properties = schema.get("properties")
    if isinstance(properties, dict):
        changed["properties"] = {
            name: _without_default(about) for name, about in properties.items()
        }
    return changed


def _without_default(about: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: without_defaults(value) for name, value in about.items() if name != "default"}
    default = about.get("default")
    if default in (None, {}, [], ""):
        return rest
    text = f"Default: `{json.dumps(default)}`."
    return {
        **rest,
        "description": f"{about['description']} {text}" if "description" in about else text,
    }
