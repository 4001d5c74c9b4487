"""An execution as the suite for the record needs it, stored in memory or in Postgres."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import select

from agent.ports import Record
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from persistence.executions import input_requests, lifecycle, queries
from persistence.executions.signals import append_signal
from persistence.tables.executions import ExecutionEventRow
from persistence.tables.sessions import ToolCallRow
from services.executions import finishing
from tests.agent.in_memory.driver import Runner
from tests.agent.in_memory.record import InMemoryRecord, finish
from tests.persistence.opened import Opened, everything

TOTALS = (
    *("total_turns", "total_messages", "total_tool_calls", "event_seq", "cost_usd"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
)
FACTS = ("status", "status_reason", "wakes_at", "result_data", "summary")
ERRORS = ("error_code", "error_message", "stalled_attempts")


class RecordedExecution(Protocol):
    """An execution with its prompt, and what others than the loop do to it."""

    @property
    def id(self) -> UUID: ...

    def record(self, segment: int, attempt: int = 1) -> Record:
        """A writer that has not begun."""
        ...

    async def row(self) -> Mapping[str, Any]:
        """Its totals, facts and errors."""
        ...

    async def events(self) -> list[tuple[int, str]]:
        """Numbers and types."""
        ...

    async def outputs(self) -> list[str | None]:
        """What its tool calls gave back."""
        ...

    async def everything(self) -> object:
        """All that is stored, to be compared with what is stored later."""
        ...

    async def signal(self, kind: SignalKind, payload: dict[str, Any]) -> None: ...

    async def request_pause(self, *, is_paused: bool) -> None: ...

    async def answer(self, request_id: UUID, answer: dict[str, Any]) -> None: ...

    async def finish(self, segment: int) -> bool:
        """Complete it; False if a message must be answered first."""
        ...


@dataclass(slots=True)
class InMemory:
    """An execution in memory."""

    runner: Runner
    id: UUID

    @property
    def _row(self) -> Any:
        return self.runner.executions.by_id[self.id]

    def record(self, segment: int, attempt: int = 1) -> Record:
        executions = self.runner.executions
        return InMemoryRecord(executions, self.id, segment=segment, attempt=attempt)

    async def row(self) -> Mapping[str, Any]:
        return {name: getattr(self._row, name) for name in (*TOTALS, *FACTS, *ERRORS)}

    async def events(self) -> list[tuple[int, str]]:
        return [(event.seq, event.type) for event in self._row.events]

    async def outputs(self) -> list[str | None]:
        return [call.output for call in self._row.tool_calls.values()]

    async def everything(self) -> object:
        return copy.deepcopy(self.runner.executions.by_id)

    async def signal(self, kind: SignalKind, payload: dict[str, Any]) -> None:
        self.runner.signal(self.id, kind, payload)

    async def request_pause(self, *, is_paused: bool) -> None:
        run = self.runner.run(self.id)
        await (run.pause() if is_paused else run.resume())

    async def answer(self, request_id: UUID, answer: dict[str, Any]) -> None:
        await self.runner.run(self.id).answer(self._row.requests[request_id], **answer)

    async def finish(self, segment: int) -> bool:
        completed = ExecutionStatus.COMPLETED
        return finish(self.runner.executions, self._row, completed, segment=segment)


@dataclass(slots=True)
class InPostgres:
    """An execution in Postgres."""

    opened: Opened

    @property
    def id(self) -> UUID:
        return self.opened.id

    def record(self, segment: int, attempt: int = 1) -> Record:
        return self.opened.record(segment, attempt)

    async def row(self) -> Mapping[str, Any]:
        row = await self.opened.row()
        return {name: getattr(row, name) for name in (*TOTALS, *FACTS, *ERRORS)}

    async def events(self) -> list[tuple[int, str]]:
        query = select(ExecutionEventRow.seq, ExecutionEventRow.type)
        query = query.where(ExecutionEventRow.execution_id == self.id)
        async with self.opened.database.reading() as session:
            found = await session.execute(query.order_by(ExecutionEventRow.seq))
            return [(seq, kind) for seq, kind in found]

    async def outputs(self) -> list[str | None]:
        query = select(ToolCallRow.output).where(ToolCallRow.execution_id == self.id)
        async with self.opened.database.reading() as session:
            return list(await session.scalars(query.order_by(ToolCallRow.position)))

    async def everything(self) -> object:
        return await everything(self.opened.database)

    async def signal(self, kind: SignalKind, payload: dict[str, Any]) -> None:
        async with self.opened.database.transaction() as session:
            await queries.lock(session, self.id)
            await append_signal(session, self.id, kind, payload)

    async def request_pause(self, *, is_paused: bool) -> None:
        async with self.opened.database.transaction() as session:
            row = await queries.lock(session, self.id)
            assert row is not None
            await lifecycle.request_pause(session, row, is_paused=is_paused)

    async def answer(self, request_id: UUID, answer: dict[str, Any]) -> None:
        async with self.opened.database.transaction() as session:
            execution, request = await input_requests.lock_open(session, request_id)
            given = {"decision": "approve", **answer}
            await input_requests.answer(session, request, given, by=execution.user_id)

    async def finish(self, segment: int) -> bool:
        async with self.opened.database.transaction() as session:
            ended = await finishing.finish(
                session,
                self.id,
                self.opened.identity(segment),
                status=ExecutionStatus.COMPLETED,
                error_code=None,
            )
        return not ended.has_unread_messages
