"""Runs the tool calls of one turn: allowed calls at once, approved calls in order."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from agent import events, input_requests
from agent.attempt import Attempt
from agent.decisions import Decider, Decision, refuse
from agent.interrupts import run_to_end
from agent.kept_files import keep_files
from agent.ports import RemoteTools, Store, Tools
from agent.subtasks import limit_problem
from agent.tool_pinning import scope_of
from domain.errors import WorkspaceNotSavedError
from domain.executions.events import Event
from domain.executions.outcomes import Outcome, Stop
from domain.executions.states import ExecutionStatus
from domain.executions.steps import Failure, StatusChange, Step, ToolCall, ToolCallStatus
from domain.files import patience
from domain.files.artifacts import NewArtifact
from domain.mcp.remote_waits import RemoteWait, is_task
from domain.mcp.tools import PinnedTool, RemoteCall
from domain.memory.entries import MemoryAccess
from domain.rules.decisions import host_rules_of, path_rules_of
from domain.tools.calls import (
    OnStarted,
    ProcessIdentity,
    ToolEffect,
    ToolInvocation,
    ToolOutcome,
)
from domain.tools.engine import DELEGATIONS
from domain.web.network import NetworkList
from domain.workspaces.snapshots import NOT_SAVED, WorkspaceSnapshot

MAX_PARALLEL_CALLS = 8
"""Calls of one turn that run at once (chosen: four times the cores of a small host)."""

ABOUT_NOT_SAVED = (
    "\n(The changed files can't be saved outside of this host, so they are lost if it fails: {}.)"
)

INTERRUPTED = "Ended before it was done (a person, a limit or a shutdown). It may have run in part."


class ToolTurn:
    """Runs the calls of one turn; each outcome is a step of its own."""

    close_turn: Callable[[], Step]
    """Ends a settled turn: the message with the results, and the next call's intent."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        tools: Tools,
        remote: RemoteTools,
        store: Store,
        decider: Decider,
    ) -> None:
        """`decider` decides what happens to calls that a crash interrupted."""
        self._attempt = attempt
        self._state = attempt.state
        self._tools = tools
        self._remote = remote
        self._store = store
        self._decider = decider
        self._slots = asyncio.Semaphore(MAX_PARALLEL_CALLS)
        self._saving = asyncio.Lock()
        """Snapshots of the workspace are recorded in the order in which they were made."""
        self._has_new_subtasks = False
        """Subtasks are recorded that the workflow has not started yet."""

    async def open(self, decisions: Sequence[Decision]) -> Step:
        """The part of a step that records new calls."""
        decisions = await self._refuse_over_limit(decisions)
        return self._step(decisions, new=True)

    async def _refuse_over_limit(self, decisions: Sequence[Decision]) -> Sequence[Decision]:
        new = sum(len(d.children) for d in decisions)
        if not new:
            return decisions
        others = sum(len(c.child_execution_ids) for c in self._state.calls.values())
        text = limit_problem(
            new, of_turn=new + others, descendants=await self._attempt.record.descendants()
        )
        if text is None:
            return decisions
        return [
            Decision(refuse(replace(d.call, child_execution_ids=()), ToolCallStatus.FAILED, text))
            if d.children
            else d
            for d in decisions
        ]

    def _step(self, decisions: Sequence[Decision], *, new: bool) -> Step:
        """Apply these decisions to the state; returns them as a step."""
        calls = [d.call for d in decisions]
        opened = [d.request for d in decisions if d.request]
        self._state.put_calls(calls)
        self._state.requests |= {
            request.id: input_requests.make_open_request(request) for request in opened
        }
        failure = next((d.failure for d in decisions if d.failure), None)
        self._attempt.failure = self._attempt.failure or failure
        children = [child for d in decisions for child in d.children]
        self._has_new_subtasks |= bool(children)
        step = Step(
            new_tool_calls=calls if new else (),
            tool_calls=() if new else calls,
            requests=opened,
            children=children,
            failure=failure,
        )
        return replace(step, events=events.describe_decisions(step))

    async def recover(self) -> Failure | None:
        """Decide what happens to calls that an earlier attempt left running."""
        interrupted = self._state.calls_in(ToolCallStatus.STARTED)
        if not interrupted:
            return None
        for call in interrupted:
            if call.process is not None:
                await self._tools.end_process(call.process)
        interrupted = [await self._with_connections(call) for call in interrupted]
        decisions = [self._decider.check_effect(call, datetime.now(UTC)) for call in interrupted]
        await self._attempt.write(self._step(decisions, new=False))
        await self._forget_connections(interrupted)
        await run_to_end(self._save_workspace(is_changed=True))
        return self._attempt.failure

    async def _with_connections(self, call: ToolCall) -> ToolCall:
        """The interrupted call with what it connected to, as far as this host knows."""
        if not self._may_have_journal(call):
            return call
        left = await self._tools.list_connections(self._invocation(call))
        return replace(call, connections=call.connections.plus(left))

    async def _forget_connections(self, calls: Sequence[ToolCall]) -> None:
        """Delete the journals of calls, once their connections are recorded."""
        for call in filter(self._may_have_journal, calls):
            await self._tools.forget_connections(self._invocation(call))

    def _may_have_journal(self, call: ToolCall) -> bool:
        return bool(self._state.snapshot.prefix.network) and call.name not in self._decider.pinned

    async def run(self) -> Stop | None:
        """Run the calls that may run now; then end the turn, or stop to wait for the others."""
        if self._state.has_runnable and self._has_new_subtasks:
            # They start now, not after the other tools of the turn have ended.
            self._has_new_subtasks = False
            return Stop(Outcome.HANDED_OVER, children=self._state.children())
        if self._state.has_runnable:
            await self._attempt.move_to(StatusChange(ExecutionStatus.RUNNING))
        async with self._attempt.interruptible():
            await self._run_allowed()
        if not self._state.calls or self._attempt.interrupts.has_unread or self._state.has_runnable:
            return None  # still runnable: the worker shuts down, and the next attempt runs it
        if self._state.is_turn_settled:
            await self._attempt.write(self._attempt.with_running_status(self.close_turn()))
            return None
        return await self._attempt.stop_to_wait()

    async def _run_allowed(self) -> None:
        ready = self._state.calls_in(ToolCallStatus.READY)
        try:
            async with asyncio.TaskGroup() as group:
                for call in ready:
                    group.create_task(self._run_call(call))
        except BaseExceptionGroup as errors:
            # The calls share one record, so the first failure ended the others.
            raise errors.exceptions[0] from None
        waiting = [c for c in self._state.calls.values() if not c.status.is_settled]
        if all(call.status is ToolCallStatus.APPROVED for call in waiting):
            for call in waiting:
                if not self._attempt.may_start_tool():
                    return
                await self._run_approved(call)
                if self._is_unfinished(call):
                    return  # a task or a question of its MCP server: the calls after it wait

    def _is_unfinished(self, call: ToolCall) -> bool:
        """Whether the call still runs. Subtasks may run beside the calls after them."""
        current = self._state.calls.get(call.id)
        return current is not None and not (current.status.is_settled or call.name in DELEGATIONS)

    async def _run_approved(self, call: ToolCall) -> None:
        if (stale := await self._decider.find_stale(call, self._invocation)) is not None:
            await self._settle([stale])
            return
        if call.name not in DELEGATIONS:
            if self._decider.effect_of(call) is ToolEffect.READ_ONLY:
                await self._attempt.write(Step(events=[events.tool_started(call)]))
            await self._run_call(call)
            return
        [decision] = await self._refuse_over_limit([await self._decider.delegate(call)])
        if decision.call.status.is_settled:
            await self._settle([decision.call])
            return
        await self._attempt.write(self._step([decision], new=False))

    async def _run_call(self, call: ToolCall) -> None:
        async with self._slots:
            if not self._attempt.may_start_tool():
                return  # the next attempt runs it
            self._state.tool = call.name
            if problem := await self._decider.problem(call, {}):
                await self._settle([refuse(call, ToolCallStatus.FAILED, problem)])
                return

            async def on_started(process: ProcessIdentity | None) -> None:
                await self._record_start(self._state.calls[call.id], process)

            outcome: ToolOutcome | None = await self._run_tool(call, on_started)
            while outcome is not None and outcome.wait is not None:
                is_next = await self._record_wait(self._state.calls[call.id], outcome.wait)
                outcome = None
                if is_next and self._attempt.may_start_tool():
                    outcome = await self._run_tool(self._state.calls[call.id], on_started)
            self._state.tool = None
            if outcome is not None:
                # The call has ended, so an interruption waits for its files and its record.
                await run_to_end(self._record_outcome(call, outcome))

    async def _record_wait(self, call: ToolCall, wait: RemoteWait) -> bool:
        """Record how an MCP server's call continues; return whether it continues now."""
        now = datetime.now(UTC)
        waiting = replace(call, status=ToolCallStatus.READY, remote_state=wait.state)
        if wait.question is not None:
            decision = await self._decider.ask_for_server(waiting, wait.question, now)
            await self._attempt.write(self._step([decision], new=False))
            return decision.call.status is ToolCallStatus.READY
        pause = wait.compute_held_pause(now)
        if pause is None:
            wakes_at = self._state.limit_to_deadline(wait.wakes_at)
            waiting = replace(waiting, status=ToolCallStatus.WAITING_FOR_TIME, wakes_at=wakes_at)
        if waiting != call:
            self._state.put_calls([waiting])
            await self._attempt.write(Step(tool_calls=[waiting]))
        await asyncio.sleep(pause or 0)
        return pause is not None

    async def cancel_remote(self, *, is_ending: bool = False) -> None:
        """Ask MCP servers to cancel the tasks of calls that are not waited for any more."""
        calls = [
            self._remote_call(call, self._decider.pinned[call.name])
            for call in self._state.calls.values()
            if is_task(call.remote_state)
            and (
                call.status is ToolCallStatus.CANCELLED
                or (is_ending and not call.status.is_settled)
            )
        ]
        await asyncio.gather(*(self._remote.cancel(call) for call in calls))

    async def _run_tool(self, call: ToolCall, on_started: OnStarted) -> ToolOutcome:
        tool = self._decider.pinned.get(call.name)
        if tool is None:
            return await self._tools.run(self._invocation(call), on_started=on_started)
        publish = partial(self._attempt.live_updates.publish_progress, call.turn, call)
        return await self._remote.run(
            self._remote_call(call, tool), on_started=on_started, on_progress=publish
        )

    def _remote_call(self, call: ToolCall, tool: PinnedTool) -> RemoteCall:
        return RemoteCall(
            scope_of(self._state.snapshot, self._state.workspace),
            tool,
            call.tool_use_id,
            json.loads(call.input_to_run),
            call.remote_state,
        )

    def _invocation(self, call: ToolCall) -> ToolInvocation:
        snapshot = self._state.snapshot
        tool_input = json.loads(call.input_to_run)
        is_approved = call.status is ToolCallStatus.APPROVED
        return ToolInvocation(
            execution_id=snapshot.execution_id,
            session_id=snapshot.session_id,
            user_id=snapshot.user_id,
            tool_use_id=call.tool_use_id,
            name=call.name,
            input=tool_input,
            path_rules=path_rules_of(
                snapshot.permissions, call.name, tool_input, is_approved=is_approved
            ),
            network=NetworkList.parse(snapshot.prefix.network),
            memory=MemoryAccess.parse(snapshot.prefix.memory),
            host_rules=host_rules_of(
                snapshot.permissions, call.name, tool_input, is_approved=is_approved
            ),
            workspace=self._state.workspace,
            working_directory=snapshot.definition.get("working_directory_path"),
        )

    async def _record_start(self, call: ToolCall, process: ProcessIdentity | None) -> None:
        """Record the start before the tool has an effect, with what it can change."""
        started = self._decider.mark_started(call, process)
        self._state.put_calls([started])
        await self._attempt.write(Step(tool_calls=[started], events=[events.tool_started(started)]))

    async def _record_outcome(self, call: ToolCall, outcome: ToolOutcome) -> None:
        kept = await keep_files(self._store, outcome, call.id)
        text = outcome.text + kept.describe(self._state.snapshot.prefix)
        is_error = outcome.is_error or len(kept.saved) < len(outcome.artifacts)
        new_events = list(kept.events)
        async with self._saving:
            workspace, problem = await self._store_workspace()
            status = ToolCallStatus.FAILED if is_error else ToolCallStatus.SUCCEEDED
            running = self._state.calls[call.id]
            ended = replace(
                input_requests.settle(running, status, text + problem, is_error=is_error),
                output_artifact_id=kept.whole_output_id,
                connections=running.connections.plus(outcome.connections),
            )
            if outcome.is_changed:
                new_events.append(events.tool_changed(ended))
            await self._settle([ended], kept.artifacts, new_events, workspace)
        await self._forget_connections([call])

    async def _store_workspace(
        self, *, is_changed: bool = False
    ) -> tuple[WorkspaceSnapshot | None, str]:
        """Store the files of the workspace if tools may have changed them.

        Returns the snapshot to record, and a note for the model if the files can't be stored.
        """
        session_id, version = self._state.snapshot.session_id, self._state.workspace
        try:
            saved = await self._tools.save_workspace(session_id, version, is_changed=is_changed)
        except WorkspaceNotSavedError as error:
            return replace(NOT_SAVED, turn=self._state.turn), ABOUT_NOT_SAVED.format(error.detail)
        return saved and replace(saved, turn=self._state.turn), ""

    async def _save_workspace(self, *, is_changed: bool = False) -> None:
        """Record the files of the workspace after calls that were interrupted."""
        async with self._saving:
            workspace, _ = await self._store_workspace(is_changed=is_changed)
            if workspace is not None:
                await self._attempt.write(Step(workspace=workspace))

    async def _settle(
        self,
        calls: Sequence[ToolCall],
        artifacts: Sequence[NewArtifact] = (),
        new_events: Sequence[Event] = (),
        workspace: WorkspaceSnapshot | None = None,
    ) -> None:
        """Record outcomes; the last one of the turn also ends the turn."""
        self._state.put_calls(calls)
        step = Step(
            tool_calls=calls,
            artifacts=artifacts,
            events=[*new_events, *(events.tool_ended(call) for call in calls)],
            workspace=workspace,
        )
        if self._state.is_turn_settled:
            step = self._attempt.with_running_status(step + self.close_turn())
        await self._attempt.write(step)

    async def record_interrupted_calls(self) -> None:
        """Record that started calls were interrupted; the others may still run."""
        cancelled = ToolCallStatus.CANCELLED
        interrupted = [
            input_requests.settle(
                await self._with_connections(call), cancelled, INTERRUPTED, is_error=True
            )
            for call in self._state.calls_in(ToolCallStatus.STARTED)
        ]
        if interrupted:
            self._state.put_calls(interrupted)
            step = Step(
                tool_calls=interrupted, events=[events.tool_ended(call) for call in interrupted]
            )
            await self._attempt.write(step)
            await self._forget_connections(interrupted)
            with patience.refuse_waits():
                await self._save_workspace()
