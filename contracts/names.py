"""Names on the wire. Running histories contain them: renaming one breaks running executions."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

TASK_EXECUTION = "TaskExecution"
"""Workflow type of one execution."""

PLAN = "Plan"
"""Workflow type of one run of a plan."""

EXECUTIONS_QUEUE = "perdure-executions"
"""Task queue of the workflow and of its activities except `report` (docs/adr/0008)."""

HOST_QUEUE = "perdure-host-"
"""Begin of the task queue of one host, for `call_claude` of executions whose files are there."""

NOTIFICATION_DELIVERY = "NotificationDelivery"
"""Workflow type of the delivery of one notification."""

NOTIFICATIONS_QUEUE = "perdure-notifications"
"""Task queue of deliveries, so that slow receivers take no slot from executions."""

REPORTS_QUEUE = "perdure-reports"
"""Task queue of `report`: its time limit of 30 seconds must not pass while it waits for a slot that
executions hold."""

WAKE = "wake"
"""Signal without content: Postgres holds a signal that the execution has not read."""

PROGRESS = "progress"
"""Query that returns `contracts.execution.Progress`."""

USER_ID = "PerdureUserId"
TASK_ID = "PerdureTaskId"
TITLE = "PerdureTitle"
STATUS = "PerdureStatus"
TRIGGER = "PerdureTrigger"
AGENT = "PerdureAgent"
TAGS = "PerdureTags"
COST_USD = "PerdureCostUsd"

SCHEDULED_AT = "TemporalScheduledStartTime"
"""Temporal's own attribute of a workflow that a schedule started: the scheduled time."""

SEARCH_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        USER_ID: "Keyword",
        TASK_ID: "Keyword",
        TITLE: "Keyword",
        STATUS: "Keyword",
        TRIGGER: "Keyword",
        AGENT: "Keyword",
        TAGS: "KeywordList",
        COST_USD: "Double",
    }
)
"""The search attributes of every workflow with their Temporal types; workers register them."""


def workflow_id(execution_id: UUID) -> str:
    """Return the workflow id of an execution that a request or a parent started."""
    return f"execution-{execution_id}"


def host_queue(host_id: UUID) -> str:
    """Return the task queue of a host."""
    return f"{HOST_QUEUE}{host_id}"


def schedule_id(task_id: UUID) -> str:
    """Return the id of the schedule of a task in Temporal."""
    return f"task-{task_id}"


def scheduled_workflow_id(task_id: UUID) -> str:
    """Return the prefix of the workflow ids of scheduled runs; Temporal appends the time."""
    return f"scheduled-{task_id}"


def notification_workflow_id(notification_id: UUID) -> str:
    """Return the workflow id of the delivery of a notification."""
    return f"notification-{notification_id}"
