"""Starting the workflows of executions and ringing their bells, for the gateway and the relay.

Both may fail without harm: what is to be started or heard stands in the outbox, and the worker's
relay tries again (design.md, section 4).
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contracts import names
from contracts.dispatch import StartRequest, WorkflowState
from contracts.execution import ExecutionInput

log = structlog.get_logger(__name__)

RPC_TIMEOUT = timedelta(seconds=2)
"""A request waits this long for an absent Temporal, then the relay takes over, which looks at rows
older than two seconds; a healthy start takes 5-40 ms (facts.md, A2)."""

HIGHEST = 10
"""The largest priority of an execution; Temporal's keys run from 1, the first, to 5."""


class Dispatcher:
    """Talks to Temporal about executions that Postgres holds already."""

    def __init__(self, client: Client) -> None:
        """Takes a client, which may be one that connects at its first call."""
        self._client = client

    async def start(self, request: StartRequest) -> bool:
        """Start the execution's workflow; False when Temporal could not be asked.

        One that was started before counts as started, whether it still runs or not.
        """
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                await self._start(request)
        except WorkflowAlreadyStartedError:
            return True
        except (RPCError, RuntimeError, TimeoutError) as error:
            # A lazy client that can't connect raises RuntimeError, or takes its time.
            log.warning("dispatch.start_failed", workflow_id=request.workflow_id, error=str(error))
            return False
        return True

    async def _start(self, request: StartRequest) -> None:
        await self._client.start_workflow(
            names.TASK_EXECUTION,
            ExecutionInput(execution_id=request.execution_id),
            id=request.workflow_id,
            task_queue=names.EXECUTIONS_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=search_attributes(request),
            static_summary=f"{request.title[:150]} ({request.trigger_type})",
            priority=_priority(request),
            rpc_timeout=RPC_TIMEOUT,
        )

    async def state(self, workflow_id: str) -> WorkflowState | None:
        """How a workflow stands, or None when Temporal could not be asked."""
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)
        try:
            described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return WorkflowState(is_open=False, run_id=None)
            log.warning("dispatch.describe_failed", workflow_id=workflow_id, error=str(error))
            return None
        except (RuntimeError, TimeoutError) as error:
            log.warning("dispatch.describe_failed", workflow_id=workflow_id, error=str(error))
            return None
        return WorkflowState(described.close_time is None, described.run_id)

    async def ring(self, workflow_id: str) -> bool:
        """Tell a workflow that there are unread rows for it; False when that did not reach it."""
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                await handle.signal(names.RING, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                # Not started yet, or just ended: the row is read at its start, or by nobody.
                log.info("dispatch.nobody_to_ring", workflow_id=workflow_id)
            else:
                log.warning("dispatch.ring_failed", workflow_id=workflow_id, error=str(error))
            return False
        except (RuntimeError, TimeoutError) as error:
            log.warning("dispatch.ring_failed", workflow_id=workflow_id, error=str(error))
            return False
        return True


def search_attributes(request: StartRequest) -> TypedSearchAttributes:
    """The attributes every execution's workflow carries from its first moment."""
    keyword = SearchAttributeKey.for_keyword
    pairs: list[SearchAttributePair[str] | SearchAttributePair[Sequence[str]]] = [
        SearchAttributePair(keyword(names.USER_ID), str(request.user_id)),
        SearchAttributePair(keyword(names.STATUS), "pending"),
        SearchAttributePair(keyword(names.TRIGGER), request.trigger_type),
        SearchAttributePair(SearchAttributeKey.for_keyword_list(names.TAGS), list(request.tags)),
    ]
    if request.task_id:
        pairs.append(SearchAttributePair(keyword(names.TASK_ID), str(request.task_id)))
    if request.agent_id:
        pairs.append(SearchAttributePair(keyword(names.AGENT), request.agent_id))
    cost = SearchAttributePair(SearchAttributeKey.for_float(names.COST_USD), 0.0)
    return TypedSearchAttributes([*pairs, cost])


def _priority(request: StartRequest) -> Priority:
    """10 becomes key 1 and 0 key 5; users share what there is fairly within a key."""
    return Priority(
        priority_key=1 + (HIGHEST - request.priority) * 4 // HIGHEST,
        fairness_key=str(request.user_id),
    )
