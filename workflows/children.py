"""Starts the workflows of subtasks and of steps of plans, as children of the running workflow."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from contracts import names, policies
    from contracts.execution import ExecutionInput
    from domain.executions.states import ExecutionStatus

STATUS = SearchAttributeKey.for_keyword(names.STATUS)
TRIGGER = SearchAttributeKey.for_keyword(names.TRIGGER)
COST_USD = SearchAttributeKey.for_float(names.COST_USD)


async def start_children(ids: Sequence[UUID], *, trigger: str, summary: str) -> None:
    """Start the workflows of these executions. One that was started before is left as it is."""
    starts: list[Awaitable[object]] = [
        workflow.start_child_workflow(
            names.TASK_EXECUTION,
            ExecutionInput(execution_id=execution_id),
            id=names.workflow_id(execution_id),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            search_attributes=_inherit_attributes(trigger),
            static_summary=summary,
            task_timeout=policies.WORKFLOW_TASK,
        )
        for execution_id in ids
    ]
    for outcome in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(
            outcome, WorkflowAlreadyStartedError
        ):
            raise outcome


def _inherit_attributes(trigger: str) -> TypedSearchAttributes:
    """Return the search attributes of the parent, with the status of a running subtask."""
    own: list[SearchAttributePair[Any]] = [
        SearchAttributePair(STATUS, ExecutionStatus.RUNNING),
        SearchAttributePair(TRIGGER, trigger),
        SearchAttributePair(COST_USD, 0.0),
    ]
    kept = names.SEARCH_ATTRIBUTES.keys() - {pair.key.name for pair in own}
    inherited = workflow.info().typed_search_attributes
    return TypedSearchAttributes([*own, *(p for p in inherited if p.key.name in kept)])
