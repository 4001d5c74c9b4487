"""Executions as tests see them: changed through the services, read from Postgres."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from claude.scripted import ScriptedModelServer
from claude.scripted.request_log import LoggedCall
from contracts.names import workflow_id
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import signals
from persistence.executions.creation import make_start_request
from persistence.ledger.audit import Actor
from persistence.tables.columns import Row
from persistence.tables.executions import ExecutionEventRow, ExecutionRow
from persistence.tables.sessions import InputRequestRow, MessageRow, ModelCallRow, ToolCallRow
from runtime.dispatch import Dispatcher
from services.caller import Caller
from services.executions import answers, control, messaging
from services.executions.inputs import AnswerBody, CancelBody, MessageBody
from services.unit_of_work import Services, UnitOfWork
from tests.engine import invariants
from tests.engine.runs import ReadableRun, Starter
from tests.engine.storing import Turn, script, store, use
from tests.waiting import WITHIN_SECONDS, eventually

__all__ = ["UNTIL_RELEASED", "Engine", "Gate", "Run", "Turn", "script", "use"]

R = TypeVar("R", bound=Row)

UNTIL_RELEASED = "until [ -e released ]; do sleep 0.02; done"
"""A command that ends when the test calls `Run.release`."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Holds back the answers of turns with `gate=name` until the test opens it."""

    scripted: ScriptedModelServer
    name: str

    def open(self) -> None:
        self.scripted.open_gate(self.name)


@dataclass(frozen=True, slots=True)
class Engine(Starter["Run"]):
    """Starts executions, and gives tests what they need to follow them."""

    database: Database
    client: Client
    dispatcher: Dispatcher
    services: Services
    scripted: ScriptedModelServer
    user_id: UUID
    home: Path

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A unit of work on behalf of the user."""
        return self.services.transaction(self.caller)

    @property
    def caller(self) -> Caller:
        """The user."""
        return Caller(user_id=self.user_id, subject="alice", actor=Actor(self.user_id))

    async def start(self, *turns: Turn, dispatch: bool = True, **fields: Any) -> "Run":
        """Store a task with this script and an execution of it (`store`), start its workflow."""
        row = await store(self.database, self.user_id, turns, **fields)
        if dispatch and row.status == ExecutionStatus.PENDING:
            request = make_start_request(row)
            await eventually(
                lambda: self.dispatcher.start(request), within=300, what="a start at Temporal"
            )
        return self.run(row.id)

    async def wait_for_model_request(self, marker: str) -> LoggedCall:
        """Wait for a request to the model that contains `marker`; the latest one."""

        async def found() -> LoggedCall | None:
            pairs = zip(self.scripted.requests[::-1], self.scripted.calls[::-1], strict=False)
            return next((call for body, call in pairs if marker.encode() in body), None)

        return await eventually(found, what="a call of the model")

    def gate(self) -> Gate:
        """A closed gate of the test's own."""
        return Gate(self.scripted, str(new_id()))

    def run(self, execution_id: UUID) -> "Run":
        """An execution that exists."""
        return Run(self, execution_id)


@dataclass(frozen=True, slots=True)
class Run(ReadableRun):
    """One execution."""

    engine: Engine
    id: UUID
    workflow: str | None = None
    """Its workflow id, where a schedule made it."""

    # --- reading ------------------------------------------------------------------------------

    async def row(self) -> ExecutionRow:
        async with self.engine.database.reading() as session:
            return await session.get_one(ExecutionRow, self.id)

    async def _rows(self, table: type[R], *order: Any) -> Sequence[R]:
        query = select(table).where(table.__table__.c.execution_id == self.id).order_by(*order)
        async with self.engine.database.reading() as session:
            return (await session.scalars(query)).all()

    async def events(self) -> Sequence[ExecutionEventRow]:
        return await self._rows(ExecutionEventRow, ExecutionEventRow.seq)

    async def messages(self, *, superseded: bool = False) -> Sequence[MessageRow]:
        """Those that count, oldest first; or all there ever were."""
        rows = await self._rows(MessageRow, MessageRow.seq, MessageRow.id)
        return [row for row in rows if superseded or row.superseded_at is None]

    async def model_calls(self) -> Sequence[ModelCallRow]:
        return await self._rows(ModelCallRow, ModelCallRow.id)

    async def tool_calls(self) -> Sequence[ToolCallRow]:
        return await self._rows(ToolCallRow, ToolCallRow.turn, ToolCallRow.position, ToolCallRow.id)

    async def requests(self) -> Sequence[InputRequestRow]:
        return await self._rows(InputRequestRow, InputRequestRow.id)

    async def children(self) -> list["Run"]:
        query = select(ExecutionRow.id).where(ExecutionRow.parent_execution_id == self.id)
        async with self.engine.database.reading() as session:
            found = await session.scalars(query.order_by(ExecutionRow.id))
            return [self.engine.run(child) for child in found]

    @property
    def workspace_root(self) -> Path:
        return self.engine.home / "workspaces"

    async def workspace(self) -> Path:
        return self.workspace_root / str((await self.row()).session_id)

    async def release(self) -> None:
        """End the `UNTIL_RELEASED` of a running command."""
        (await self.workspace() / "released").touch()

    # --- waiting ------------------------------------------------------------------------------

    async def wait_until(
        self, condition: Callable[[ExecutionRow], object], *, within: float = WITHIN_SECONDS
    ) -> ExecutionRow:
        """Wait until the condition holds for the row; the row."""
        last: list[ExecutionRow] = []

        async def holds() -> bool:
            last[:] = [await self.row()]
            return bool(condition(last[0]))

        try:
            await eventually(holds, within=within)
        except AssertionError as error:
            row = last[0]
            raise AssertionError(
                f"{error}: {row.status} ({row.status_reason}, {row.error_code}, "
                f"{row.error_message})"
            ) from error
        return last[0]

    async def wait_for_status(self, status: ExecutionStatus) -> ExecutionRow:
        return await self.wait_until(lambda row: row.status == status)

    async def wait_for_end(self, *, within: float = WITHIN_SECONDS) -> ExecutionRow:
        """Wait until the execution has ended and its workflow is closed; the row.

        What is true of every execution is checked here.
        """
        row = await self.wait_until(
            lambda row: ExecutionStatus(row.status).is_terminal, within=within
        )

        async def closed() -> bool:
            return (await self.handle.describe()).close_time is not None

        try:
            await eventually(closed)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        row = await self.row()
        await invariants.check(self, row)
        return row

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something else than the row to become true."""
        await eventually(condition)

    async def wait_for_signals_read(self) -> None:
        """Wait until all its signals are read, except messages."""

        async def are_read() -> bool:
            async with self.engine.database.reading() as session:
                return all(
                    row.kind == "message" for row in await signals.list_unread(session, self.id)
                )

        await eventually(are_read, what="the end of unread signals")

    async def wait_for_model_call(self) -> ModelCallRow:
        """Wait for a model call without an answer; the call."""

        async def under_way() -> ModelCallRow | None:
            calls = await self.model_calls()
            return next((call for call in calls if call.status == "intended"), None)

        return await eventually(under_way, what="a model call")

    async def wait_for_tool_call(self) -> ToolCallRow:
        """Wait for a tool call that has started and not ended; the call."""

        async def under_way() -> ToolCallRow | None:
            calls = await self.tool_calls()
            return next((call for call in calls if call.status == "started"), None)

        return await eventually(under_way, what="a running tool")

    async def wait_for_request(self) -> InputRequestRow:
        """Wait until the execution waits for a person; its oldest open request."""

        async def find_open() -> InputRequestRow | None:
            if (await self.row()).status != ExecutionStatus.WAITING_FOR_USER:
                return None
            return next((r for r in await self.requests() if r.status == "open"), None)

        return await eventually(find_open, what="an open request")

    # --- acting -------------------------------------------------------------------------------

    async def answer(self, request: InputRequestRow, **body: Any) -> None:
        """Answer an input request."""
        async with self.engine.transaction() as work:
            await answers.answer(work, request.id, AnswerBody.model_validate(body))

    async def store_answer(
        self, session: AsyncSession, request: InputRequestRow, **body: Any
    ) -> None:
        """Answer in a transaction of the test, without waking the workflow."""
        work = UnitOfWork(session, self.engine.caller, self.engine.services)
        await answers.answer(work, request.id, AnswerBody.model_validate(body))

    async def cancel(self, reason: str | None = None) -> None:
        """Cancel the execution."""
        async with self.engine.transaction() as work:
            await control.cancel(work, self.id, CancelBody(reason=reason))

    async def pause(self) -> None:
        """Request a pause."""
        async with self.engine.transaction() as work:
            await control.pause(work, self.id)

    async def resume(self) -> None:
        """Resume the execution."""
        async with self.engine.transaction() as work:
            await control.resume(work, self.id)

    async def wait_for_pause(self) -> ExecutionRow:
        """The row, as soon as the execution is paused."""
        return await self.wait_for_status(ExecutionStatus.PAUSED)

    async def say(self, content: str, *, interrupt: bool = False) -> None:
        """Send a message to the active execution."""
        body = MessageBody(content=content, interrupt=interrupt)
        async with self.engine.transaction() as work:
            await messaging.send_message(work, self.id, body)

    async def wake(self) -> None:
        await self.engine.dispatcher.wake(self.handle.id)

    async def skip_time(self, duration: timedelta) -> None:
        """Let the timers of the workflow fire that are due within this duration."""
        skipper = TimeSkipper(self.engine.client, config=TimeSkippingConfig(enabled=False))
        await skipper.fast_forward(self.handle, duration)

    async def set_deadline_to_now(self) -> None:
        """Let its deadline be reached; the timer of its workflow is not changed."""
        async with self.engine.database.transaction() as session:
            row = await session.get_one(ExecutionRow, self.id, with_for_update=True)
            row.deadline_at = datetime.now(UTC)

    # --- Temporal -----------------------------------------------------------------------------

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.engine.client.get_workflow_handle(self.workflow or workflow_id(self.id))

    async def history(self) -> str:
        """The whole history as JSON."""
        return (await self.handle.fetch_history()).to_json()
