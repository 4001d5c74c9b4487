"""Executions and their workflows: how one is started and how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFacts:
    """What Temporal is told of an execution beside its input: for operators and order, no content.

    A request's execution is one (`StartRequest`), and so is each fire of a schedule.
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
    """What a workflow is started with."""

    execution_id: UUID
    workflow_id: str


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """How a workflow stands. `run_id` is its newest run; None: Temporal knows no such workflow."""

    is_open: bool
    run_id: str | None
