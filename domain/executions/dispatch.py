"""Executions and their workflows: what starts one, and the status of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

INLINE_TITLE = "Work without a task"
"""What Temporal shows instead of a title that may be the first line of a prompt or a message."""

PLAN_TITLE = "Plan"
"""What Temporal shows for a plan, whose title is content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFacts:
    """Facts that Temporal stores about an execution, for operators and for ordering; no content.

    Each start by a request (`StartRequest`) and each fire of a schedule has them.
    """

    user_id: UUID
    task_id: UUID | None
    title: str
    trigger_type: str
    agent_id: str | None = None
    tags: Sequence[str] = ()
    priority: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest(WorkflowFacts):
    """A request to start a workflow."""

    execution_id: UUID
    workflow_id: str
    executor: str = "claude"


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """The status of a workflow and its newest run; None: Temporal has no such workflow."""

    is_open: bool
    run_id: str | None
