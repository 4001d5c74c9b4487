"""Running the tool calls of one turn: the allowed ones at once, approved ones in order."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from agent import requests, story
from agent.attempt import Attempt
from agent.decisions import Decided, Decider, refused
from agent.ports import Store, Tools
from agent.subtasks import too_many
from domain.engine_tools import DELEGATE
from domain.events import Event, artifact_saved
from domain.outcomes import Outcome, Stop
from domain.states import ExecutionStatus
from domain.steps import Failure, NewArtifact, StatusChange, Step, ToolCall, ToolCallStatus
from domain.tool_calls import ProcessIdentity, ToolEffect, ToolInvocation, ToolOutcome

MAX_PARALLEL_CALLS = 8
"""Calls of one turn that run at once (chosen: four times the cores of a small host)."""

CUT_SHORT = "Ended before it was done: the time limit, a cancel, or the worker shutting down."


class ToolTurn:
    """Moves the calls of one turn to their results; each outcome is a step of its own."""

    close: Callable[[], Step]
    """Makes the end of a settled turn: the results message, and what follows it."""

    def __init__(self, attempt: Attempt, *, tools: Tools, store: Store, decider: Decider) -> None:
        """`decider` settles what becomes of a call that a crash cut."""
        self._attempt = attempt
        self._state = attempt.state
        self._tools = tools
        self._store = store
        self._decider = decider
        self._slots = asyncio.Semaphore(MAX_PARALLEL_CALLS)
        self._has_unstarted = False
        """Subtasks were put on record that the workflow has not been told of."""

    async def open(self, decided: Sequence[Decided]) -> Step:
        """The part of a step that puts freshly decided calls on record."""
        decided = await self._within_limits(decided)
        return self._step(decided, new=True)

    async def _within_limits(self, decided: Sequence[Decided]) -> Sequence[Decided]:
        new = sum(d.child is not None for d in decided)
        if not new:
            return decided
        others = sum(c.child_execution_id is not None for c in self._state.calls.values())
        text = too_many(
            new, of_turn=new + others, descendants=await self._attempt.record.descendants()
        )
        if text is None:
            return decided
        return [
            Decided(refused(replace(d.call, child_execution_id=None), ToolCallStatus.FAILED, text))
            if d.child
            else d
            for d in decided
        ]

    def _step(self, decided: Sequence[Decided], *, new: bool) -> Step:
        """These decisions as a step, taken into the state."""
        calls = [d.call for d in decided]
        opened = [d.request for d in decided if d.request]
        self._state.take(calls)
        self._state.requests |= {request.id: requests.opened(request) for request in opened}
        failures = [d.failure for d in decided if d.failure]
        failure = next(iter(failures), None)
        self._attempt.failure = self._attempt.failure or failure
        children = [d.child for d in decided if d.child]
        self._has_unstarted |= bool(children)
        events = [story.tool_ended(call) for call in calls if call.status.is_settled]
        events += [story.tool_started(call) for call in calls if self._runs_unannounced(call)]
        events += [story.input_requested(request) for request in opened]
        events += [story.subtask_started(child) for child in children]
        return Step(
            new_tool_calls=calls if new else (),
            tool_calls=() if new else calls,
            requests=opened,
            children=children,
            events=events,
            failure=failure,
        )

    @staticmethod
    def _runs_unannounced(call: ToolCall) -> bool:
        """Read-only tools take no effect, so their start is told with the decision."""
        return call.status is ToolCallStatus.READY and call.effect is ToolEffect.READ_ONLY

    async def recover(self) -> Failure | None:
        """Deal with calls a former attempt left running; once, when an attempt begins."""
        cut = self._state.having(ToolCallStatus.STARTED)
        if not cut:
            return None
        for call in cut:
            if call.process is not None:
                await self._tools.end_process(call.process)
        decided = [self._decider.check_effect(call, datetime.now(UTC)) for call in cut]
        await self._attempt.write(self._step(decided, new=False))
        return self._attempt.failure

    async def move(self) -> Stop | None:
        """Run what may run now, and end the turn or wait for what can't."""
        if self._state.has_runnable and self._has_unstarted:
            # They start now, and not when the tools beside them have ended.
            self._has_unstarted = False
            return Stop(Outcome.HANDED_OVER, children=self._state.children())
        if self._state.has_runnable:
            await self._attempt.move_to(StatusChange(ExecutionStatus.RUNNING))
        async with self._attempt.attending():
            await self._run_allowed()
        if not self._state.calls or self._attempt.attention.rang or self._state.has_runnable:
            return None  # runnable still: the worker shuts down, and the next one runs it
        if self._state.is_turn_settled:
            await self._attempt.write(self._attempt.running(self.close()))
            return None
        return await self._attempt.park()

    async def _run_allowed(self) -> None:
        ready = self._state.having(ToolCallStatus.READY)
        try:
            async with asyncio.TaskGroup() as group:
                for call in ready:
                    group.create_task(self._run(call))
        except BaseExceptionGroup as errors:
            # The calls share one record: whatever failed first is why the others ended.
            raise errors.exceptions[0] from None
        waiting = [c for c in self._state.calls.values() if not c.status.is_settled]
        if all(call.status is ToolCallStatus.APPROVED for call in waiting):
            for call in waiting:
                if not self._attempt.may_begin():
                    return
                await self._run_approved(call)

    async def _run_approved(self, call: ToolCall) -> None:
        if call.name != DELEGATE:
            if call.effect is ToolEffect.READ_ONLY:
                await self._attempt.write(Step(events=[story.tool_started(call)]))
            await self._run(call)
            return
        [decided] = await self._within_limits([self._decider.delegate(call)])
        if decided.call.status.is_settled:
            await self._settle([decided.call])
            return
        await self._attempt.write(self._step([decided], new=False))

    async def _run(self, call: ToolCall) -> None:
        async with self._slots:
            if not self._attempt.may_begin():
                return  # the next attempt runs it
            self._state.tool = call.name
            if problem := self._decider.problem(call, {}):
                await self._settle([refused(call, ToolCallStatus.FAILED, problem)])
                return

            async def on_started(process: ProcessIdentity | None) -> None:
                await self._started(call, process)

            outcome = await self._tools.run(
                self._invocation(call),
                on_started=on_started,
            )
            self._state.tool = None
            await self._ended(call, outcome)

    def _invocation(self, call: ToolCall) -> ToolInvocation:
        snapshot = self._state.snapshot
        return ToolInvocation(
            execution_id=snapshot.execution_id,
            session_id=snapshot.session_id,
            tool_use_id=call.tool_use_id,
            name=call.name,
            input=json.loads(call.approved_input or call.input),
            forked_from_session_id=snapshot.forked_from_session_id,
            working_directory=snapshot.definition.get("working_directory_path"),
        )

    async def _started(self, call: ToolCall, process: ProcessIdentity | None) -> None:
        """The step before a tool takes effect: from here on a second run is a question."""
        started = replace(call, status=ToolCallStatus.STARTED, process=process)
        self._state.take([started])
        await self._attempt.write(Step(tool_calls=[started], events=[story.tool_started(started)]))

    async def _ended(self, call: ToolCall, outcome: ToolOutcome) -> None:
        kept = [
            await self._store.keep(file, kind="artifact", tool_call_id=call.id)
            for file in outcome.artifacts
        ]
        events = [artifact_saved(file.id, file.name, file.size_bytes) for file in kept]
        whole = None
        if outcome.whole_output is not None:
            whole = await self._store.keep(
                outcome.whole_output, kind="tool_output", tool_call_id=call.id
            )
            kept.append(whole)
        ended = replace(
            self._state.calls[call.id],
            status=ToolCallStatus.FAILED if outcome.is_error else ToolCallStatus.SUCCEEDED,
            output=outcome.text,
            is_error=outcome.is_error,
            output_artifact_id=whole.id if whole else None,
        )
        await self._settle([ended], kept, events)

    async def _settle(
        self,
        calls: Sequence[ToolCall],
        artifacts: Sequence[NewArtifact] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """Write outcomes; the last of the turn brings the results message and the next intent."""
        self._state.take(calls)
        step = Step(
            tool_calls=calls,
            artifacts=artifacts,
            events=[*events, *(story.tool_ended(call) for call in calls)],
        )
        if self._state.is_turn_settled:
            step = self._attempt.running(step + self.close())
        await self._attempt.write(step)

    async def cut_short(self) -> None:
        """Record that calls which took effect were ended before their time; others may yet run."""
        cut = [
            replace(call, status=ToolCallStatus.CANCELLED, output=CUT_SHORT, is_error=True)
            for call in self._state.having(ToolCallStatus.STARTED)
        ]
        if cut:
            self._state.take(cut)
            await self._attempt.write(
                Step(tool_calls=cut, events=[story.tool_ended(call) for call in cut])
            )
