"""The activity `call_claude`: runs one attempt of the loop, with heartbeats and interrupts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import AsyncActivityCancelledError
from temporalio.service import RPCError, RPCStatusCode

from activities.background_tasks import run_in_background
from activities.live_updates import ExecutionLiveUpdates, LiveWatchers
from agent.interrupts import InterruptWatcher
from agent.loop import Loop
from agent.ports import LoopPorts, Model, Prices, RemoteTools, Store, Tools
from contracts import policies
from contracts.execution import CallClaudeResult, RunRef
from domain.errors import ExecutionTerminalError, FencedOutError, WorkspaceElsewhereError
from domain.executions.outcomes import Outcome, Stop
from domain.json_schemas import SchemaEvaluator
from persistence.db.database import Database
from persistence.executions import queries
from persistence.executions.fencing import RunIdentity
from persistence.executions.step_log import ExecutionRecord
from services import storage
from services.hosts import WorkerHosts
from tools.mcp.attempts import McpTools

log = structlog.get_logger(__name__)


def current_run(run: RunRef) -> RunIdentity:
    """Identify the workflow run and the attempt of the current activity, for fencing.

    After a reset to a time when an activity ran, Temporal starts it again with the same input, for
    the new run.
    """
    info = activity.info()
    is_repeated = run.run_id not in (None, info.workflow_run_id)
    return RunIdentity(
        workflow_id=info.workflow_id or "",
        run_id=info.workflow_run_id or "",
        segment=run.segment,
        attempt=info.attempt,
        last_message_seq=run.last_message_seq,
        is_reset=run.is_reset or is_repeated,
        continued_run_id=run.continued_run_id,
        is_repeat=run.is_repeat,
    )


async def confirm_attempt() -> None:
    """Send a heartbeat and wait for the answer of Temporal.

    Raises:
        FencedOutError: Temporal has started a later attempt.
    """
    token = activity.info().task_token
    try:
        await activity.client().get_async_activity_handle(task_token=token).heartbeat()
    except AsyncActivityCancelledError:
        pass  # the activity is cancelled in the usual way
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise FencedOutError("Temporal has started a later attempt.") from error


async def confirm_late_attempt() -> None:
    """Confirm an attempt that may have timed out before this process could start it.

    The SDK receives attempts faster than a busy process starts them. If the process ran those that
    Temporal has repeated meanwhile, it would start the next ones too late as well.

    Raises:
        FencedOutError: Temporal has started a later attempt.
    """
    info = activity.info()
    if info.attempt > 1 or datetime.now(UTC) - info.started_time > policies.HEARTBEAT_EVERY:
        await confirm_attempt()


async def leave_sticky_queue() -> None:
    """Let any worker continue the workflow when this attempt, which is a repeated one, has ended.

    Probably the worker that ran the attempt before has died. If it has the workflow in its cache,
    the next workflow task would wait in its queue for `policies.STICKY`.
    """
    info = activity.info()
    execution = WorkflowExecution(
        workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or ""
    )
    request = ResetStickyTaskQueueRequest(
        namespace=info.workflow_namespace or "", execution=execution
    )
    try:
        await activity.client().workflow_service.reset_sticky_task_queue(
            request, timeout=policies.HEARTBEAT_EVERY
        )
    except RPCError as error:
        log.info("call_claude.sticky_queue_kept", error=str(error.status))


@dataclass(slots=True)
class WatchedAttempt:
    """An attempt that this process runs, and what interrupts its loop."""

    run_id: str | None
    watcher: InterruptWatcher = field(default_factory=InterruptWatcher)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    _has_successor: bool = False

    async def hand_over(self) -> None:
        """Let the attempt record its current step, because a later one waits for it."""
        self._has_successor = True
        self.watcher.drain()
        await self.has_ended.wait()

    async def run(self, work: Coroutine[Any, Any, Stop]) -> Stop:
        """Run the loop, which continues if Temporal times the attempt out.

        The SDK then cancels the activity, although Temporal may only be unavailable for a time:
        the current step would be lost, which may be a call that is paid for. If another worker
        takes over meanwhile, the record refuses the next step.
        """
        running = asyncio.ensure_future(work)
        while True:
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                if running.done() or not self._has_timed_out():
                    running.cancel()
                    return await running

    def _has_timed_out(self) -> bool:
        details = activity.cancellation_details()
        return self._has_successor or (details is not None and details.timed_out)


class InterruptWatchers:
    """The executions that this worker is running, so that a wake-up reaches the right loop."""

    def __init__(self, slots: int) -> None:
        """`slots` is the number of executions the worker runs at a time."""
        self._slots = slots
        self._watched: dict[str, WatchedAttempt] = {}

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken, so that other executions may be waiting for one."""
        return len(self._watched) >= self._slots

    @asynccontextmanager
    async def watch(self, execution_id: UUID) -> AsyncIterator[WatchedAttempt]:
        """Deliver the wake-ups of one execution to the returned attempt while the block runs.

        Waits until an earlier attempt of this process, which Temporal has timed out, has recorded
        its current step.
        """
        key, run_id = str(execution_id), activity.info().workflow_run_id
        while (earlier := self._watched.get(key)) is not None and earlier.run_id == run_id:
            await earlier.hand_over()
        watched = self._watched[key] = WatchedAttempt(run_id)
        try:
            yield watched
        finally:
            watched.has_ended.set()
            if self._watched.get(key) is watched:
                del self._watched[key]

    def wake(self, execution_id: str) -> None:
        """Interrupt the loop of an execution that has an unread signal."""
        if (watched := self._watched.get(execution_id)) is not None:
            watched.watcher.wake()

    def wake_all(self) -> None:
        """Wake every loop: the connection that carries the wake-ups was interrupted."""
        for watched in self._watched.values():
            watched.watcher.wake()


class SegmentLimit:
    """Decides when `call_claude` returns its slot: earlier while other executions wait."""

    def __init__(self, watchers: InterruptWatchers) -> None:
        """Start the segment now."""
        self._watchers = watchers
        self._started_at = asyncio.get_running_loop().time()

    def __call__(self) -> bool:
        """Return whether the segment is over."""
        limit = policies.SEGMENT_WHEN_FULL if self._watchers.is_full else policies.SEGMENT
        return asyncio.get_running_loop().time() - self._started_at >= limit.total_seconds()


@dataclass(slots=True)
class LoopProgress:
    """The loop of a segment, for its heartbeats; None until the segment has created it."""

    loop: Loop | None = None

    def details(self) -> dict[str, object]:
        """Return the details of a heartbeat. They enter Temporal, so they hold no content."""
        state = None if self.loop is None else self.loop.state
        if state is None:
            return {}
        return {"turn": state.turn, "tool": state.tool, "cost_usd": float(state.cost_usd)}

    def retry_delay(self) -> timedelta | None:
        """The time until the next attempt if this one fails; None: that of the retry policy.

        An attempt that could not begin, or that has made progress, has no delay of its own.
        """
        state = None if self.loop is None else self.loop.state
        stalled = 0 if state is None else state.stalled_attempts
        return policies.STALLED_RETRY * 2 ** (stalled - 1) if stalled else None


@dataclass(frozen=True, slots=True)
class ExecutionRunner:
    """What all `call_claude` activities of a worker share."""

    database: Database
    hosts: WorkerHosts
    slots: asyncio.Semaphore
    """Executions at a time, from the shared queue and from that of this host."""
    model: Model
    tools: "WorkspaceTools"
    mcp_tools: McpTools
    schemas: SchemaEvaluator
    store: Store
    prices: Prices
    live_watchers: LiveWatchers
    interrupt_watchers: InterruptWatchers
    drain_seconds: float
    snapshot_bytes: int
    """Bytes that the snapshots of one session may take."""
    is_scripted: bool = False
    """Whether `model` is the scripted model, whose calls cost nothing."""

    async def run(self, run: RunRef, progress: LoopProgress) -> CallClaudeResult:
        """Run the loop until it needs something from outside, or until its segment is over.

        An execution whose workspace is on another host continues there. If that host does not
        answer, the workspace moves here. The caller sends heartbeats.
        """
        async with self.slots:
            try:
                return await self._run(run, progress)
            except WorkspaceElsewhereError as elsewhere:
                host_id = elsewhere.host_id
            if await self.hosts.answers(host_id):
                return CallClaudeResult(
                    outcome=Outcome.ELSEWHERE,
                    last_message_seq=run.last_message_seq,
                    host_id=host_id,
                )
            return await self._run(run, progress, from_host_id=host_id)

    async def _run(
        self, run: RunRef, progress: LoopProgress, *, from_host_id: UUID | None = None
    ) -> CallClaudeResult:
        async with self.interrupt_watchers.watch(run.execution_id) as watched:
            watcher = watched.watcher
            remote = self.mcp_tools.attempt()
            record = ExecutionRecord(
                self.database,
                run.execution_id,
                current_run(run),
                host_id=self.hosts.host_id,
                from_host_id=from_host_id,
                is_scripted=self.is_scripted,
            )
            ports = self._ports(run, record, remote)
            is_segment_over = SegmentLimit(self.interrupt_watchers)
            loop = Loop(ports, interrupts=watcher, is_segment_over=is_segment_over)
            progress.loop = loop
            with run_in_background(_drain(watcher, self.drain_seconds)):
                try:
                    if activity.info().attempt > 1 or run.is_repeat:
                        await leave_sticky_queue()
                        await self._prepare_repeated_attempt(run.execution_id)
                    async with remote:
                        stop = await watched.run(loop.run())
                    await self._record_workspace(loop)
                except ExecutionTerminalError:
                    # It ended outside of its workflow; `finish` returns the recorded status.
                    return CallClaudeResult(
                        outcome=Outcome.CANCELLED, last_message_seq=run.last_message_seq
                    )
        return _result(loop, stop, self.hosts)

    def _ports(self, run: RunRef, record: ExecutionRecord, remote: RemoteTools) -> LoopPorts:
        return LoopPorts(
            record=record,
            model=self.model,
            tools=self.tools,
            remote=remote,
            schemas=self.schemas,
            store=self.store,
            prices=self.prices,
            live_updates=ExecutionLiveUpdates(run.execution_id, self.live_watchers),
        )

    async def _prepare_repeated_attempt(self, execution_id: UUID) -> None:
        """Load the SDKs that the execution uses, before the record counts the attempt.

        While they load, which takes seconds on a busy machine, an attempt makes no progress. If the
        worker ends meanwhile, or is too busy to send heartbeats so that Temporal starts further
        attempts, that must not fail the execution. A first attempt is not counted.

        Raises:
            FencedOutError: Temporal has started a later attempt.
        """
        time = asyncio.get_running_loop().time
        began = time()
        await self.model.ready()
        async with self.database.reading() as session:
            uses_mcp_servers = await queries.uses_mcp_servers(session, execution_id)
        if uses_mcp_servers:
            await self.mcp_tools.pool()
        if time() - began > policies.HEARTBEAT_EVERY.total_seconds():
            await confirm_attempt()

    async def _record_workspace(self, loop: Loop) -> None:
        """Record the size of the workspace if this attempt changed it.

        After a crash, it is recorded when the next attempt changes the workspace.
        """
        if loop.state is None:
            return
        session_id, epoch = loop.state.snapshot.session_id, loop.state.workspace.epoch
        size = await self.tools.measure(session_id, epoch)
        if size is not None:
            await storage.record_workspace(self.database, session_id, size, epoch=epoch)


class WorkspaceTools(Tools, Protocol):
    """Tools with workspaces that have a size."""

    async def measure(self, session_id: UUID, epoch: int = 0) -> int | None:
        """The size of a session's workspace, if calls may have changed it since the last time."""

    async def remove(self, epochs: Mapping[UUID, int | None]) -> None:
        """Delete the directories of sessions: all of them, or those of earlier epochs only."""

    async def delete_abandoned_restores(self) -> None:
        """Delete what restores that were killed have left behind."""

    async def list_sessions(self) -> Sequence[UUID]:
        """Return the sessions that have directories on this host."""
        ...


def _result(loop: Loop, stop: Stop, hosts: WorkerHosts) -> CallClaudeResult:
    state = loop.state
    if state is None:
        raise RuntimeError("the loop returned before it read the record")
    return CallClaudeResult(
        outcome=stop.outcome,
        last_message_seq=state.transcript.next_seq - 1,
        error_code=stop.failure and stop.failure.code,
        subtask_ids=stop.children,
        wakes_at=stop.wakes_at,
        turns=state.turn,
        cost_usd=state.cost_usd,
        wants_report=bool(state.snapshot.definition.get("generate_report")),
        host_id=hosts.host_id if hosts.has_others and state.snapshot.prefix.tools else None,
    )


async def _drain(watcher: InterruptWatcher, drain_seconds: float) -> None:
    """When the worker shuts down, stop the loop after its current step, or after a time limit."""
    await activity.wait_for_worker_shutdown()
    watcher.drain()
    await asyncio.sleep(drain_seconds)
    watcher.interrupt()
