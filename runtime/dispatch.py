"""Start, wake and describe workflows in Temporal; the gateway and the worker use it.

A call may fail without harm: Postgres has the rows, and background tasks of the worker repeat it.
"""

import json
from collections.abc import Sequence
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

from contracts import names, policies
from contracts.execution import ExecutionInput
from contracts.notifications import DeliverInput
from contracts.payloads import Contract
from domain.executions.dispatch import StartRequest, WorkflowFacts, WorkflowState
from domain.plans.plan import PLAN
from runtime.temporal import RPC_TIMEOUT, try_call

log = structlog.get_logger(__name__)

TAGS_BYTES = 2048
"""Limit of one search attribute as JSON: the server's default. Postgres holds every tag."""

HIGHEST = 10
"""The highest priority of an execution. Temporal's keys run from 1 (first) to 5."""

TITLE_LENGTH = 150
"""Characters of a title that Temporal gets (docs/adr/0002)."""


class Dispatcher:
    """Implements `services.ports.WorkflowServer`."""

    def __init__(self, client: Client, public_url: str | None = None) -> None:
        """`client` may be lazy; `public_url` is the address of the pages of executions."""
        self._client = client
        self._public_url = public_url

    async def start(self, request: StartRequest) -> bool:
        """Start the workflow of an execution. Return False if Temporal was not reached.

        A workflow that was started before counts as started, even if it has ended.
        """
        given = ExecutionInput(
            execution_id=request.execution_id, is_for_claude=request.executor == "claude"
        )
        workflow = names.PLAN if request.executor == PLAN else names.TASK_EXECUTION
        is_new = await self._start(
            workflow, given, request.workflow_id, names.EXECUTIONS_QUEUE, request
        )
        return is_new is not None

    async def start_delivery(self, notification_id: UUID, facts: WorkflowFacts) -> bool | None:
        """Start the workflow that delivers a notification, if it was never started.

        Return True if the workflow is running now, False if it has ended, None if Temporal was not
        reached.
        """
        workflow_id = names.notification_workflow_id(notification_id)
        given = DeliverInput(notification_id=notification_id)
        is_new = await self._start(
            names.NOTIFICATION_DELIVERY, given, workflow_id, names.NOTIFICATIONS_QUEUE, facts
        )
        if is_new is not False:
            return is_new
        state = await self.state(workflow_id)
        return None if state is None else state.is_open

    async def state(self, workflow_id: str) -> WorkflowState | None:
        """Describe a workflow. Return None if Temporal was not reached."""
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)

        async def describe() -> WorkflowState:
            try:
                described = await handle.describe(rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return WorkflowState(is_open=False, run_id=None)
            return WorkflowState(described.close_time is None, described.run_id)

        return await try_call(describe(), "describe", workflow_id=workflow_id)

    async def wake(self, workflow_id: str) -> bool | None:
        """Signal a workflow to read its signals.

        Return False if no such workflow is running, None if Temporal was not reached.
        """
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(workflow_id)

        async def signal() -> bool:
            try:
                await handle.signal(names.WAKE, rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                # Not started yet, or just ended: it reads the row at its start, or never.
                log.info("dispatch.workflow_not_running", workflow_id=workflow_id)
                return False
            return True

        return await try_call(signal(), "wake", workflow_id=workflow_id)

    async def _start(
        self, workflow: str, given: Contract, workflow_id: str, queue: str, facts: WorkflowFacts
    ) -> bool | None:
        """Return True if the workflow was started, False if it existed, None if not reached."""

        async def start() -> bool:
            try:
                await self._client.start_workflow(
                    workflow,
                    given,
                    id=workflow_id,
                    task_queue=queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=search_attributes(facts),
                    static_summary=summary(facts),
                    static_details=details(facts, self._public_url),
                    priority=priority(facts),
                    task_timeout=policies.WORKFLOW_TASK,
                    rpc_timeout=RPC_TIMEOUT,
                )
            except WorkflowAlreadyStartedError:
                return False
            return True

        return await try_call(start(), "start", workflow_id=workflow_id)


def search_attributes(facts: WorkflowFacts) -> TypedSearchAttributes:
    """Return the search attributes that every workflow has from its start."""
    keyword = SearchAttributeKey.for_keyword
    pairs: list[SearchAttributePair[str] | SearchAttributePair[Sequence[str]]] = [
        SearchAttributePair(keyword(names.USER_ID), str(facts.user_id)),
        SearchAttributePair(keyword(names.TITLE), facts.title[:TITLE_LENGTH]),
        SearchAttributePair(keyword(names.STATUS), "pending"),
        SearchAttributePair(keyword(names.TRIGGER), facts.trigger_type),
        SearchAttributePair(SearchAttributeKey.for_keyword_list(names.TAGS), _fitting(facts.tags)),
    ]
    if facts.task_id:
        pairs.append(SearchAttributePair(keyword(names.TASK_ID), str(facts.task_id)))
    if facts.agent_id:
        pairs.append(SearchAttributePair(keyword(names.AGENT), facts.agent_id))
    cost = SearchAttributePair(SearchAttributeKey.for_float(names.COST_USD), 0.0)
    return TypedSearchAttributes([*pairs, cost])


def _fitting(tags: Sequence[str]) -> Sequence[str]:
    """Return the first tags that fit; Temporal refuses a workflow whose attribute is too large."""
    fitting, size = [], len("[]")
    for tag in tags:
        size += len(json.dumps(tag)) + len(",")
        if size > TAGS_BYTES:
            break
        fitting.append(tag)
    return fitting


def priority(facts: WorkflowFacts) -> Priority:
    """Map priority 10 to key 1 and 0 to key 5. Within a key, users share the workers fairly."""
    return Priority(
        priority_key=1 + (HIGHEST - facts.priority) * 4 // HIGHEST,
        fairness_key=str(facts.user_id),
    )


def details(facts: WorkflowFacts, public_url: str | None = None) -> str:
    """Return what Temporal's UI shows of the workflow: who it is for, and how to read it."""
    lines = [f"for the user {facts.user_id}"]
    if facts.task_id is not None:
        lines.append(f"task: `perdure tasks get {facts.task_id}`")
    if isinstance(facts, StartRequest):
        lines.append(f"execution: `perdure executions get {facts.execution_id}`")
        if public_url is not None:
            lines.append(f"page: {public_url.rstrip('/')}/executions/{facts.execution_id}")
    return "  \n".join(lines)


def summary(facts: WorkflowFacts) -> str:
    """Return the title of the workflow in Temporal's UI."""
    return f"{facts.title[:TITLE_LENGTH]} ({facts.trigger_type})"
