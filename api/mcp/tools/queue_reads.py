"""Tools of the queue that count its work and order it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool
from api.mcp.tools.planned_tasks import EXECUTE, OrchestratorResult, OwnArguments
from api.mcp.views import View
from services.external_work import overview


class StatusArguments(OwnArguments):
    """No arguments are needed."""


class AgentQueueView(View):
    """The work of one agent."""

    agent_type: str | None
    counts: dict[str, int]
    oldest_pending_seconds: float | None


class QueueStatusResult(OrchestratorResult):
    """How much work there is, by state and agent."""

    total_tasks: int
    total_is_capped: Annotated[bool, Field(description="There are more than 10,000 of a state.")]
    counts: dict[str, int]
    average_priority: float | None
    max_depth: int
    oldest_pending: datetime | None
    oldest_pending_seconds: float | None
    newest_task: datetime | None
    agents: list[AgentQueueView]


async def _status(context: ToolContext, _: StatusArguments) -> QueueStatusResult:
    async with context.reading() as session:
        found = await overview.read_status(session, context.caller)
    return QueueStatusResult(
        total_tasks=found.total,
        total_is_capped=found.total_is_capped,
        counts=dict(found.counts),
        average_priority=found.average_priority,
        max_depth=found.maximum_depth,
        oldest_pending=found.oldest_pending_at,
        oldest_pending_seconds=found.oldest_pending_seconds,
        newest_task=found.newest_at,
        agents=[
            AgentQueueView(
                agent_type=agent.agent_id,
                counts=dict(agent.counts),
                oldest_pending_seconds=agent.oldest_pending_seconds,
            )
            for agent in found.agents
        ],
        next_step="task_list shows the work; task_execution_plan shows its order.",
    )


class PlanArguments(OwnArguments):
    """The work to order."""

    task_ids: Annotated[
        tuple[UUID, ...],
        Field(max_length=overview.MOST_PLANNED, description="Empty: all work that has not ended."),
    ] = ()


class ExecutionPlanResult(OrchestratorResult):
    """The work in batches: what is in one batch can be done at the same time."""

    batches: list[list[UUID]]
    total_batches: int
    max_parallelism: int


async def _plan(context: ToolContext, arguments: PlanArguments) -> ExecutionPlanResult:
    ids: Sequence[UUID] = arguments.task_ids
    async with context.reading() as session:
        plan = await overview.plan_execution(session, context.caller, ids, field="task_ids")
    return ExecutionPlanResult(
        batches=[[row.id for row in batch] for batch in plan.batches],
        total_batches=len(plan.batches),
        max_parallelism=plan.max_parallelism,
        next_step=f"Claim the work of the first batch with {EXECUTE}.",
    )


STATUS = AgentTool(
    name="task_queue_status",
    group="queue",
    title="Read the state of the queue",
    description=(
        "Count the work of the queue by state and agent, with the age of the oldest pending work."
    ),
    arguments=StatusArguments,
    result=QueueStatusResult,
    handler=_status,
    is_read_only=True,
)
EXECUTION_PLAN = AgentTool(
    name="task_execution_plan",
    group="queue",
    title="Order the work of the queue",
    description=(
        "Order work in batches by its prerequisites: the tasks of one batch can be done at the "
        "same time, after those of the batches before."
    ),
    arguments=PlanArguments,
    result=ExecutionPlanResult,
    handler=_plan,
    is_read_only=True,
)
