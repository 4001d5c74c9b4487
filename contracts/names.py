"""Names on the wire. They stand in running histories: renaming one breaks executions in flight."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

TASK_EXECUTION = "TaskExecution"
"""Workflow type of one execution."""

EXECUTIONS_QUEUE = "perdure-executions"
"""Task queue of the workflow and its activities but one (docs/adr/0008)."""

NOTIFICATION_DELIVERY = "NotificationDelivery"
"""Workflow type of one notification's delivery."""

NOTIFICATIONS_QUEUE = "perdure-notifications"
"""Task queue of deliveries: receivers that answer slowly take no slot from executions."""

REPORTS_QUEUE = "perdure-reports"
"""Task queue of `report` alone: a report has 30 seconds, which must not go by behind executions
that hold every slot."""

WAKE = "wake"
"""Signal without content: there are unread rows for this execution in the signals."""

PROGRESS = "progress"
"""Query: where the execution stands, as `contracts.execution.Progress`."""

USER_ID = "PerdureUserId"
TASK_ID = "PerdureTaskId"
STATUS = "PerdureStatus"
TRIGGER = "PerdureTrigger"
AGENT = "PerdureAgent"
TAGS = "PerdureTags"
COST_USD = "PerdureCostUsd"

SCHEDULED_AT = "TemporalScheduledStartTime"
"""Temporal's own attribute of what a schedule has started: the time that was due."""

SEARCH_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        USER_ID: "Keyword",
        TASK_ID: "Keyword",
        STATUS: "Keyword",
        TRIGGER: "Keyword",
        AGENT: "Keyword",
        TAGS: "KeywordList",
        COST_USD: "Double",
    }
)
"""Search attributes every workflow carries, with their Temporal types; registered at start."""


def workflow_id(execution_id: UUID) -> str:
    """The workflow id of an execution that a request or a parent started."""
    return f"execution-{execution_id}"


def schedule_id(task_id: UUID) -> str:
    """The id of a task's schedule in Temporal."""
    return f"task-{task_id}"


def fire_workflow_id(task_id: UUID) -> str:
    """What the workflow ids of a schedule's fires begin with; Temporal adds the time."""
    return f"scheduled-{task_id}"


def notification_workflow_id(notification_id: UUID) -> str:
    """The workflow id of a notification's delivery."""
    return f"notification-{notification_id}"
