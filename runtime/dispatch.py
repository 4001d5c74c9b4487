"""Starting the workflows of executions and deliveries, and ringing bells, for gateway and relay.

Both may fail without harm: what is to be started or heard stands in the signals, and the worker's
relay tries again (design.md, section 4).
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

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
from contracts.execution import ExecutionInput
from contracts.notifications import DeliverInput
from domain.dispatch import StartRequest, WorkflowFacts, WorkflowState

log = structlog.get_logger(__name__)

RPC_TIMEOUT = timedelta(seconds=2)
"""A request waits this long for an absent Temporal, then the relay takes over, which looks at rows
older than two seconds; a healthy start takes 5-40 ms (facts.md, A2)."""

TAGS_BYTES = 2048
"""Of one search attribute as JSON: the server's default limit. Postgres holds every tag."""

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
            static_summary=summary(request),
            priority=priority(request),
            rpc_timeout=RPC_TIMEOUT,
        )

    async def deliver(self, notification_id: UUID, facts: WorkflowFacts) -> bool | None:
        """Start the workflow that delivers a notification, once.

        Whether it runs: not where it has ended already. None when Temporal could not be asked.
        """
        workflow_id = names.notification_workflow_id(notification_id)
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                await self._client.start_workflow(
                    names.NOTIFICATION_DELIVERY,
                    DeliverInput(notification_id=notification_id),
                    id=workflow_id,
                    task_queue=names.NOTIFICATIONS_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=search_attributes(facts),
                    static_summary=summary(facts),
                    priority=priority(facts),
                    rpc_timeout=RPC_TIMEOUT,
                )
        except WorkflowAlreadyStartedError:
            state = await self.state(workflow_id)
            return None if state is None else state.is_open
        except (RPCError, RuntimeError, TimeoutError) as error:
            log.warning("dispatch.deliver_failed", workflow_id=workflow_id, error=str(error))
            return None
        return True

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

    async def wake(self, workflow_id: str) -> bool:
        """Tell a workflow that there are unread rows for it; False when that did not reach it."""
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                await handle.signal(names.WAKE, rpc_timeout=RPC_TIMEOUT)
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


def search_attributes(facts: WorkflowFacts) -> TypedSearchAttributes:
    """The attributes every execution's workflow carries from its first moment."""
    keyword = SearchAttributeKey.for_keyword
    pairs: list[SearchAttributePair[str] | SearchAttributePair[Sequence[str]]] = [
        SearchAttributePair(keyword(names.USER_ID), str(facts.user_id)),
        SearchAttributePair(keyword(names.STATUS), "pending"),
        SearchAttributePair(keyword(names.TRIGGER), facts.trigger_type),
        SearchAttributePair(SearchAttributeKey.for_keyword_list(names.TAGS), _shown(facts.tags)),
    ]
    if facts.task_id:
        pairs.append(SearchAttributePair(keyword(names.TASK_ID), str(facts.task_id)))
    if facts.agent_id:
        pairs.append(SearchAttributePair(keyword(names.AGENT), facts.agent_id))
    cost = SearchAttributePair(SearchAttributeKey.for_float(names.COST_USD), 0.0)
    return TypedSearchAttributes([*pairs, cost])


def _shown(tags: Sequence[str]) -> Sequence[str]:
    """As many as Temporal takes, which refuses the whole workflow for one too many."""
    shown, size = [], len("[]")
    for tag in tags:
        size += len(json.dumps(tag)) + len(",")
        if size > TAGS_BYTES:
            break
        shown.append(tag)
    return shown


def priority(facts: WorkflowFacts) -> Priority:
    """10 becomes key 1 and 0 key 5; users share what there is fairly within a key."""
    return Priority(
        priority_key=1 + (HIGHEST - facts.priority) * 4 // HIGHEST,
        fairness_key=str(facts.user_id),
    )


def summary(facts: WorkflowFacts) -> str:
    """The line by which Temporal's UI shows it."""
    return f"{facts.title[:150]} ({facts.trigger_type})"
