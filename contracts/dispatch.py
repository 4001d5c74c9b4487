"""Executions and their workflows: how one is started and how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a workflow is started with: facts for operators and order, no content."""

    execution_id: UUID
    workflow_id: str
    user_id: UUID
    task_id: UUID | None
    title: str
    trigger_type: str
    agent_id: str | None = None
    tags: Sequence[str] = ()
    priority: int = 5


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """How a workflow stands. `run_id` is its newest run; None: Temporal knows no such workflow."""

    is_open: bool
    run_id: str | None
