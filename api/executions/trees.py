"""The tree of an execution: its subtasks at all levels, in one response."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.http.request_context import Called
from api.http.responses import answer
from api.http.schemas import Read, from_row
from api.links import BASE
from domain.executions.states import ExecutionStatus
from persistence.executions import subtasks
from services.executions.access import get_readable_execution
from services.field_types import UsdOut

router = APIRouter(prefix=BASE, tags=["executions"])


class TreeNode(Read):
    """One execution of a tree. Costs and turns are its own, without its subtasks."""

    paths = {"self": "/task-executions/{id}"}

    id: UUID
    parent_execution_id: UUID | None
    depth: Annotated[int, Field(description="Levels below the requested execution.")]
    title: str
    agent_id: str | None
    executor: str
    status: ExecutionStatus
    status_reason: str | None
    error_code: str | None
    cost_usd: UsdOut
    total_turns: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class TreeTotals(BaseModel):
    """Sums over the listed executions, with the requested one."""

    executions: int
    by_status: dict[ExecutionStatus, int]
    depth: Annotated[int, Field(description="Levels below the requested execution.")]
    cost_usd: UsdOut
    total_turns: int


class ExecutionTree(Read):
    """An execution and all of its subtasks, each after its parent."""

    paths = {
        "self": "/task-executions/{execution_id}/tree",
        "execution": "/task-executions/{execution_id}",
    }

    execution_id: UUID
    items: list[TreeNode]
    totals: TreeTotals
    is_truncated: Annotated[
        bool,
        Field(description=f"There are more executions than the {subtasks.LARGEST_TREE} listed."),
    ]


@router.get("/task-executions/{execution_id}/tree", responses={200: {"model": ExecutionTree}})
async def get_execution_tree(call: Called, execution_id: UUID) -> Response:
    """The progress of an execution and of its subtasks at all levels."""
    async with call.gateway.database.reading() as session:
        await get_readable_execution(session, call.caller, execution_id)
        rows = await subtasks.read_tree(session, execution_id)
    return answer(_render_tree(execution_id, rows))


def _render_tree(execution_id: UUID, rows: Sequence[Mapping[str, Any]]) -> ExecutionTree:
    nodes = [from_row(TreeNode, None, **row) for row in rows[: subtasks.LARGEST_TREE]]
    totals = TreeTotals(
        executions=len(nodes),
        by_status=dict(Counter(node.status for node in nodes)),
        depth=max(node.depth for node in nodes),
        cost_usd=sum((node.cost_usd for node in nodes), Decimal(0)),
        total_turns=sum(node.total_turns for node in nodes),
    )
    return from_row(
        ExecutionTree,
        None,
        execution_id=execution_id,
        items=nodes,
        totals=totals,
        is_truncated=len(rows) > len(nodes),
    )
