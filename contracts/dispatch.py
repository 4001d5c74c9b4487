"""What it takes to start an execution's workflow, for the gateway and the relay."""

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
