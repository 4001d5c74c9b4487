"""Names on the wire. They stand in running histories: renaming one breaks executions in flight."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

TASK_EXECUTION = "TaskExecution"
"""Workflow type of one execution."""

EXECUTIONS_QUEUE = "perdure-executions"
"""Task queue of the workflow and all its activities (docs/adr/0008)."""

RING = "ring"
"""Signal without content: there are unread rows for this execution in the outbox."""

PROGRESS = "progress"
"""Query: where the execution stands, as `contracts.execution.Progress`."""

USER_ID = "PerdureUserId"
TASK_ID = "PerdureTaskId"
STATUS = "PerdureStatus"
TRIGGER = "PerdureTrigger"
AGENT = "PerdureAgent"
TAGS = "PerdureTags"
COST_USD = "PerdureCostUsd"

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
