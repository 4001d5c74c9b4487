"""Executions that run on the loop alone: this plays the gateway and the workflow around it."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from activities.prices import ListPrices
from activities.render_prompt import NOT_RUN, AgentPart, build_prefix
from agent.interrupts import InterruptWatcher
from agent.loop import Loop
from agent.ports import LoopPorts
from agent.transcript import encode, result_block, text_block, tool_uses
from definitions.tasks import TaskDefinition
from domain.executions.events import Event
from domain.executions.outcomes import Outcome, Stop
from domain.executions.signals import Signal
from domain.executions.states import ExecutionStatus
from domain.executions.steps import NewMessage
from domain.ids import new_id
from domain.model.calls import Prefix
from domain.web.network import NetworkList
from runtime.schema_evaluation import IsolatedEvaluator
from tests.agent.in_memory.model import InMemoryModel
from tests.agent.in_memory.record import InMemoryRecord, append_events, finish
from tests.agent.in_memory.remote_tools import InMemoryRemoteTools
from tests.agent.in_memory.rows import (
    Executions,
    SessionMessage,
    StoredExecution,
    StoredSession,
)
from tests.agent.in_memory.run import InMemoryRun
from tests.agent.in_memory.running import RunningExecution
from tests.agent.in_memory.tools import InMemoryStore, InMemoryTools
from tests.engine.runs import Starter
from tests.engine.storing import Turn, script, use

__all__ = ["InMemoryRun", "Runner", "Turn", "script", "use"]

T = TypeVar("T")

WITHIN_SECONDS = 30.0
"""Distinguishes a slow machine from a test that hangs; every wait takes milliseconds."""

ENDS = {
    Outcome.DONE: ExecutionStatus.COMPLETED,
    Outcome.FAILED: ExecutionStatus.FAILED,
    Outcome.CANCELLED: ExecutionStatus.CANCELLED,
}


class Runner(Starter[InMemoryRun]):
    """Starts executions and moves them, each in a background task."""

    def __init__(self) -> None:
        self.executions = Executions()
        self.executions.send_signal = self.signal
        self.model = InMemoryModel()
        self.tools = InMemoryTools()
        self.remote = InMemoryRemoteTools()
        self.schemas = IsolatedEvaluator(is_metered=False)
        self.store = InMemoryStore()
        self.running: dict[UUID, RunningExecution] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End what still runs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.schemas.close()

    # --- starting -----------------------------------------------------------------------------

    async def start(
        self,
        *turns: Turn,
        session_id: UUID | None = None,
        columns: Mapping[str, Any] | None = None,
        **definition: Any,
    ) -> InMemoryRun:
        """Start an execution whose model follows this script."""
        execution = self.open(*turns, session_id=session_id, columns=columns, **definition)
        self.move(execution)
        return self.run(execution.id)

    def open(
        self,
        *turns: Turn,
        session_id: UUID | None = None,
        columns: Mapping[str, Any] | None = None,
        **definition: Any,
    ) -> StoredExecution:
        """Store an execution with its prompt; no attempt moves it."""
        # No two prompts alike: the model counts the faults of one and the same conversation.
        definition.setdefault("prompt_template", f"Task {new_id()}\n\n{script(*turns)}")
        parsed = TaskDefinition.model_validate(definition).model_dump(mode="json")
        execution = StoredExecution(
            definition=parsed, session=self._session(session_id), **(columns or {})
        )
        append_events(execution, [Event("execution.created")])
        self._render_prompt(self.executions.add(execution))
        return execution

    def run(self, execution_id: UUID) -> InMemoryRun:
        """An execution that exists."""
        return InMemoryRun(self, execution_id)

    def _session(self, session_id: UUID | None) -> StoredSession:
        sessions = (e.session for e in self.executions.by_id.values())
        return next((s for s in sessions if s.id == session_id), StoredSession())

    def _render_prompt(self, execution: StoredExecution) -> None:
        """Pin what the model will see, and write the prompt."""
        definition = TaskDefinition.model_validate(execution.definition)
        prefix = build_prefix(
            definition,
            AgentPart(),
            default_model="claude-opus-5-5",
            network=NetworkList.parse(["*"]),
        )
        execution.prefix = Prefix(**json.loads(prefix))
        execution.prefix_sha256 = hashlib.sha256(prefix.encode()).digest()
        messages = execution.session.messages
        content = encode([*_missing_results(messages), text_block(definition.prompt_template)])
        prompt = NewMessage(new_id(), len(messages) + 1, "user", content)
        messages.append(SessionMessage(execution.id, prompt))
        execution.total_messages = 1
        execution.status = ExecutionStatus.RUNNING
        appended = Event("message.appended", {"seq": prompt.seq, "role": "user"})
        append_events(execution, [Event("execution.started"), appended])
        self.running[execution.id] = RunningExecution()

    def move(self, execution: StoredExecution) -> None:
        """Move an execution in the background until it ends."""
        task = self._tasks[execution.id] = asyncio.ensure_future(self._move(execution))
        task.add_done_callback(lambda _: self.executions.notify())

    async def crash(self, run: InMemoryRun) -> None:
        """End an execution's attempt as a kill of its worker does; the next one begins."""
        task = self._tasks[run.id]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.move(self.executions.by_id[run.id])

    # --- moving -------------------------------------------------------------------------------

    async def _move(self, execution: StoredExecution) -> None:
        """Do what the workflow does: a segment, then wait for what it needs, until the end."""
        running = self.running[execution.id]
        while True:
            seen = running.wakes
            stop = await self._run_segment(execution, running)
            if stop.outcome in ENDS:
                if self._finish(execution, stop, running):
                    return
                continue
            for child in stop.children:
                if child not in running.started_children:
                    running.started_children.add(child)
                    self._render_prompt(self.executions.by_id[child])
                    self.move(self.executions.by_id[child])
            if stop.outcome is not Outcome.HANDED_OVER:
                await self._wait(running, seen, stop.wakes_at)

    async def _run_segment(self, execution: StoredExecution, running: RunningExecution) -> Stop:
        running.segments += 1
        running.interrupts = InterruptWatcher()
        ports = LoopPorts(
            record=InMemoryRecord(self.executions, execution.id, segment=running.segments),
            model=self.model,
            tools=self.tools,
            remote=self.remote,
            schemas=self.schemas,
            store=self.store,
            prices=ListPrices(),
            live_updates=running.live,
        )
        loop = Loop(ports, interrupts=running.interrupts, is_segment_over=lambda: False)
        try:
            return await loop.run()
        finally:
            running.interrupts = None
            self.executions.notify()

    def _finish(self, execution: StoredExecution, stop: Stop, running: RunningExecution) -> bool:
        running.segments += 1
        code = None if stop.failure is None else stop.failure.code
        status, segment = ENDS[stop.outcome], running.segments
        if not finish(self.executions, execution, status, segment=segment, error_code=code):
            return False
        if execution.parent_execution_id is not None:
            ended = {"execution_id": str(execution.id)}
            self.signal(execution.parent_execution_id, "subtask_finished", ended)
        return True

    async def _wait(self, running: RunningExecution, seen: int, wakes_at: datetime | None) -> None:
        """Wait for a signal that came after the segment began, or until the time given."""
        seconds = None
        if wakes_at is not None:
            seconds = max((wakes_at - datetime.now(UTC)).total_seconds(), 0)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while running.wakes == seen and not running.skips_time:
                    await self.executions.change()
        running.skips_time = False

    def signal(self, execution_id: UUID, kind: str, payload: Mapping[str, Any]) -> None:
        """Write a signal and wake what waits for it."""
        execution = self.executions.by_id[execution_id]
        execution.signals.append(Signal(new_id(), kind, payload))
        running = self.running[execution_id]
        running.wakes += 1
        if running.interrupts is not None:
            running.interrupts.wake()
        self.executions.notify()

    async def wait_until(self, condition: Callable[[], T | None], what: str) -> T:
        """What the condition returns, as soon as that is true."""
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while not (value := condition()):
                    self._raise_failures()
                    await self.executions.change()
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {WITHIN_SECONDS:g} s") from None
        return value

    def _raise_failures(self) -> None:
        for task in self._tasks.values():
            if task.done() and not task.cancelled():
                task.result()


def _missing_results(messages: Sequence[SessionMessage]) -> Sequence[Mapping[str, Any]]:
    """Results for the calls that the session's previous execution left without one."""
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        return ()
    calls = tool_uses(json.loads(last.content))
    return [result_block(call["id"], NOT_RUN, is_error=True) for call in calls]
