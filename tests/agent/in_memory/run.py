"""One execution in memory, as tests see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.errors import AlreadyAnsweredError
from domain.executions.events import Event
from domain.executions.finishing import FINISH_REQUEST
from domain.executions.states import ExecutionStatus
from tests.agent.in_memory import budgets
from tests.agent.in_memory.record import append_events
from tests.agent.in_memory.rows import (
    SessionMessage,
    StoredEvent,
    StoredExecution,
    StoredModelCall,
    StoredRequest,
    StoredToolCall,
)
from tests.agent.in_memory.running import StreamedText
from tests.agent.in_memory.tools import Files
from tests.engine import invariants
from tests.engine.runs import ReadableRun

if TYPE_CHECKING:
    from tests.agent.in_memory.driver import Runner


@dataclass(frozen=True, slots=True)
class InMemoryRun(ReadableRun):
    """One execution, with what `tests.engine.driver.Run` offers."""

    runner: "Runner"
    id: UUID

    @property
    def _execution(self) -> StoredExecution:
        return self.runner.executions.by_id[self.id]

    # --- reading ------------------------------------------------------------------------------

    async def row(self) -> StoredExecution:
        return self._execution

    async def events(self) -> Sequence[StoredEvent]:
        return self._execution.events

    async def messages(self, *, superseded: bool = False) -> Sequence[SessionMessage]:
        del superseded  # nothing resets an execution in memory
        return [m for m in self._execution.session.messages if m.execution_id == self.id]

    async def model_calls(self) -> Sequence[StoredModelCall]:
        return list(self._execution.model_calls.values())

    async def tool_calls(self) -> Sequence[StoredToolCall]:
        calls = self._execution.tool_calls.values()
        return sorted(calls, key=lambda call: (call.turn, call.position))

    async def requests(self) -> Sequence[StoredRequest]:
        return list(self._execution.requests.values())

    async def children(self) -> list["InMemoryRun"]:
        children = self.runner.executions.children_of(self.id)
        return [self.runner.run(child.id) for child in children]

    @property
    def files(self) -> Files:
        """The files of its session."""
        return self.runner.tools.files[self._execution.session_id]

    @property
    def live(self) -> StreamedText:
        """What was shown while it ran."""
        return self.runner.running[self.id].live

    @property
    def segments(self) -> int:
        """How many times the loop was run, its end included."""
        return self.runner.running[self.id].segments

    # --- waiting ------------------------------------------------------------------------------

    async def wait_until(self, condition: Callable[[StoredExecution], object]) -> StoredExecution:
        """The row, as soon as the condition holds for it."""
        row = self._execution
        await self.runner.wait_until(lambda: bool(condition(row)), "the condition")
        return row

    async def wait_for_status(self, status: ExecutionStatus) -> StoredExecution:
        return await self.wait_until(lambda row: row.status is status)

    async def wait_for_end(self) -> StoredExecution:
        """The row once it has ended. What holds for every execution is checked here."""
        row = await self.wait_until(lambda row: row.status.is_terminal)
        await invariants.check(self, row)
        return row

    async def wait_for_model_call(self) -> StoredModelCall:
        """The model call that is under way, as soon as there is one."""
        calls = self._execution.model_calls
        return await self.runner.wait_until(
            lambda: next((c for c in calls.values() if c.status == "intended"), None),
            "a model call",
        )

    async def wait_for_tool_call(self) -> StoredToolCall:
        """A tool call that has begun and has not ended, as soon as there is one."""
        calls = self._execution.tool_calls
        return await self.runner.wait_until(
            lambda: next((c for c in calls.values() if c.status == "started"), None),
            "a running tool",
        )

    async def wait_for_request(self) -> StoredRequest:
        """The oldest open request, as soon as the execution waits for its answer."""
        row = await self.wait_for_status(ExecutionStatus.WAITING_FOR_USER)
        return next(r for r in row.requests.values() if r.status == "open")

    # --- signalling ---------------------------------------------------------------------------

    async def answer(self, request: StoredRequest, **answer: Any) -> None:
        """Answer a request; `decision` is `approve` by default, as in the gateway."""
        row = self._execution
        if row.requests[request.id].status != "open":
            raise AlreadyAnsweredError("The request takes no answer any more.")
        given = {"decision": "approve", **answer}
        row.requests[request.id] = replace(request, status="answered", answer=given)
        answered = {"input_request_id": str(request.id), "kind": request.kind}
        append_events(row, [Event("input.answered", answered)])
        if request.kind == "budget" and given["decision"] == "approve" and "values" in given:
            limit = Decimal(str(given["values"]["max_budget_usd"]))
            budgets.raise_limits(self.runner.executions, row, limit)
        self.runner.signal(self.id, "answer", {"input_request_id": str(request.id)})

    async def cancel(self) -> None:
        self.runner.signal(self.id, "cancel", {})

    async def say(self, content: str, *, interrupt: bool = False) -> None:
        """Send a message to the running execution."""
        self.runner.signal(self.id, "message", {"content": content})
        if interrupt:
            self.runner.signal(self.id, "interrupt", {})

    async def finish(self) -> None:
        """Ask it to answer now."""
        self.runner.signal(self.id, "message", {"content": FINISH_REQUEST})
        self.runner.signal(self.id, "finish", {})

    async def pause(self) -> None:
        self._execution.pause_requested = True
        self.runner.signal(self.id, "pause", {})

    async def resume(self) -> None:
        self._execution.pause_requested = False
        self.runner.signal(self.id, "resume", {})

    def skip_time(self) -> None:
        """End the wait for a time that the execution is in."""
        self.runner.running[self.id].skips_time = True
        self.runner.executions.notify()
