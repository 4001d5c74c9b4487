"""The durable record of one execution, for the loop's writer."""

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import false, insert, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.names import workflow_id
from domain.agents.agent import Agent
from domain.errors import AlreadyAnsweredError, FencedOutError
from domain.executions.budgets import Shortage
from domain.executions.signals import Inbox
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallOutcome,
    CallStatus,
    NewChild,
    NewRequest,
    Receipt,
    Snapshot,
    Step,
)
from domain.model.calls import Usage
from domain.people.rechecks import ApprovalAge
from domain.people.remembered_decisions import RememberedDecision
from domain.people.requests import next_action_at
from domain.text import clean
from persistence.db import sql
from persistence.db.database import Database
from persistence.db.outages import repeat_refused
from persistence.definitions import agents
from persistence.executions import (
    admission,
    queries,
    remembered_decisions,
    request_changes,
    snapshot,
    subtasks,
)
from persistence.executions.fencing import RunIdentity
from persistence.executions.step_values import make_parameters, make_statement
from persistence.ledger import audit, budgets
from persistence.sessions import workspaces
from persistence.sessions.workspaces import WorkspaceOwner
from persistence.tables.executions import ExecutionEventRow, ExecutionRow
from persistence.tables.sessions import ArtifactRow, InputRequestRow, ModelCallRow

_SQL = sql.load("executions/step_log.sql")


class ExecutionRecord:
    """The record for one attempt: first `begin`, then steps, until another attempt begins."""

    def __init__(
        self,
        database: Database,
        execution_id: UUID,
        run: RunIdentity,
        *,
        host_id: UUID,
        from_host_id: UUID | None = None,
        is_scripted: bool = False,
    ) -> None:
        """`host_id` is the host whose disk holds this worker's workspaces.

        A workspace on `from_host_id`, which does not answer, moves to this host.

        `is_scripted`: this worker calls the scripted model, so its calls cost nothing.
        """
        self._database = database
        self._id = execution_id
        self._run = run
        self._host_id = host_id
        self._from_host_id = from_host_id
        self._is_scripted = is_scripted
        self._token: dict[str, int] = {}
        self._last_write = time.monotonic()
        self._user_id: UUID
        self._workspace: WorkspaceOwner
        self._depth = 0
        self._priority = 0
        self._is_budgeted = False
        self._reserved_usd = Decimal(0)
        """The reservation of the call that this attempt makes."""

    async def begin(self) -> Snapshot:
        """Become the one writer and read the record.

        Raises:
            FencedOutError: a newer attempt has written.
            ExecutionTerminalError: it has ended.
            WorkspaceElsewhereError: its workspace is on another host.
        """
        taken = await admission.become_writer(
            self._database,
            self._id,
            self._run,
            host_id=self._host_id,
            from_host_id=self._from_host_id,
        )
        self._is_budgeted = taken.is_budgeted
        steps = None if taken.is_first else await snapshot.read_steps(self._database, taken)
        lost = None
        if steps is not None and any(one.status == CallStatus.INTENDED for one in steps.tries):
            lost = await repeat_refused(self._charge_lost_call)
            steps = await snapshot.read_steps(self._database, taken)
        loaded = await snapshot.load(self._database, taken, steps, lost)
        self._token = {"epoch": taken.epoch, "segment": taken.segment, "attempt": taken.attempt}
        self._user_id, self._depth, self._priority = taken.user_id, taken.depth, taken.priority
        self._workspace = WorkspaceOwner(self._id, taken.session_id, taken.user_id)
        self._last_write = time.monotonic()
        return loaded

    async def write(self, step: Step) -> Receipt:
        """Write a step, whole or not at all. It waits while Postgres refuses it.

        The step may hold the answer of a call that is paid for.

        Raises:
            FencedOutError: another attempt writes now, the execution has ended, or the table of
                transitions does not allow the change of its status.
        """
        return await repeat_refused(partial(self._write_once, step))

    async def _write_once(self, step: Step) -> Receipt:
        if _has_rare_parts(step) or (self._is_budgeted and step.call_outcome is not None):
            async with self._database.transaction() as session:
                receipt = await self._write(session, step)
        else:
            written = await self._database.raw.run(make_statement(step), self._parameters(step))
            receipt = _receipt(written, step)
        self._last_write = time.monotonic()
        return receipt

    async def write_intent(self, step: Step, *, reserve_usd: Decimal) -> Receipt | Shortage:
        """Write a step with a call's intent if the budgets have room for the call.

        Raises:
            FencedOutError: as `write`.
        """
        return await repeat_refused(partial(self._reserve, step, reserve_usd))

    async def _reserve(self, step: Step, reserve_usd: Decimal) -> Receipt | Shortage:
        async with self._database.transaction() as session:
            shortage = await budgets.reserve(session, self._id, reserve_usd)
            if shortage is not None:
                return shortage
            receipt = await self._write(session, step)
        self._reserved_usd = reserve_usd
        self._last_write = time.monotonic()
        return receipt

    async def _write(self, session: AsyncSession, step: Step) -> Receipt:
        """Write a step in a transaction; the fence's lock on the execution comes first."""
        written = await session.execute(make_statement(step), self._parameters(step))
        receipt = _receipt(written.one_or_none(), step)
        await self._write_rare(session, step)
        if self._is_budgeted and step.call_outcome is not None:
            spent = step.call_outcome.cost_usd or Decimal(0)
            await budgets.settle(
                session, self._id, reserved_usd=self._reserved_usd, spent_usd=spent
            )
        return receipt

    def _parameters(self, step: Step) -> dict[str, Any]:
        elapsed_ms = round((time.monotonic() - self._last_write) * 1000)
        own = {
            "execution_id": self._id,
            "elapsed_ms": elapsed_ms,
            "is_scripted": self._is_scripted,
        }
        return {**self._token, **own, **make_parameters(step)}

    async def _write_rare(self, session: AsyncSession, step: Step) -> None:
        """Write the parts that few steps have, in the same transaction, under the fence's lock."""
        session.add_all(self._request_row(request) for request in step.requests)
        session.add_all(
            ArtifactRow(user_id=self._user_id, execution_id=self._id, **asdict(artifact))
            for artifact in step.artifacts
        )
        if step.workspace is not None:
            await workspaces.record(session, self._workspace, step.workspace)
        await self._close(session, step.expired_requests, "expired")
        await self._close(session, step.cancelled_requests, "cancelled")
        for child in step.children:
            await self._insert_child(session, child)
        if step.prefix is not None:
            digest = hashlib.sha256(step.prefix.encode()).digest()
            replaced = {"execution_id": self._id, "prefix": step.prefix, "prefix_sha256": digest}
            await session.execute(_SQL["replace_prefix"], replaced)

    async def _close(
        self, session: AsyncSession, ids: Sequence[UUID], status: Literal["expired", "cancelled"]
    ) -> None:
        """Close open requests without an answer; a cancelled one may have a held answer."""
        if not ids:
            return
        request = InputRequestRow
        is_held = request.held_rule.is_not(None) if status == "cancelled" else false()
        closed = await session.execute(
            update(request)
            .where(request.id.in_(ids), or_(request.status == "open", is_held))
            .values(status=status, held_rule=null())
            .returning(request.id, request.kind, request.on_expiry)
        )
        rows = closed.all()
        if len(rows) != len(ids):
            # The record is newer than this attempt knows; the next attempt reads it.
            raise AlreadyAnsweredError("A request was answered while it was closed.")
        for row in rows:
            await audit.record(
                session,
                audit.ENGINE,
                "input_request.expire" if status == "expired" else "input_request.cancel",
                ("input_request", row.id),
                after={
                    "kind": row.kind,
                    "on_expiry": row.on_expiry,
                    "execution_id": str(self._id),
                },
                owner_id=self._user_id,
            )

    def _request_row(self, request: NewRequest) -> InputRequestRow:
        return InputRequestRow(
            **asdict(request),
            execution_id=self._id,
            user_id=self._user_id,
            status="open",
            next_action_at=next_action_at(request.reminders, request.on_expiry, request.due_at),
        )

    async def _insert_child(self, session: AsyncSession, child: NewChild) -> None:
        budget = child.budget_usd
        if self._is_budgeted and budget is not None:
            budget = await budgets.limit_to_parent(session, self._id, budget)
        await session.execute(
            insert(ExecutionRow).values(
                id=child.id,
                user_id=self._user_id,
                definition=child.definition,
                notification_config=child.definition.get("notification_config"),
                parent_execution_id=self._id,
                parent_tool_call_id=child.tool_call_id,
                depth=self._depth + 1,
                title=clean(child.title),
                agent_id=child.agent_id,
                executor=child.executor,
                trigger_type="subtask",
                status=ExecutionStatus.PENDING,
                budget_usd=budget,
                priority=self._priority,
                workflow_id=workflow_id(child.id),
                event_seq=1,
            )
        )
        if self._is_budgeted or budget is not None:
            await budgets.open_account(
                session, child.id, parent_id=self._id, has_budget=budget is not None
            )
        created = {"parent_execution_id": str(self._id)}
        session.add(
            ExecutionEventRow(execution_id=child.id, seq=1, type="execution.created", data=created)
        )

    async def poll_signals(self) -> Inbox:
        """Read the unread signals, with the requests and subtasks that they refer to."""
        return await snapshot.poll_signals(self._database, self._id)

    async def settle_cost(self, outcome: CallOutcome) -> None:
        """Charge the cost of a call instead of its estimate, even if another attempt writes now."""
        usage = outcome.usage or Usage()
        async with self._database.transaction() as session:
            row = await queries.lock_existing(session, self._id)
            call = await session.get_one(ModelCallRow, outcome.id)
            if not call.usage_estimated:
                return
            more = (outcome.cost_usd or Decimal(0)) - (call.cost_usd or Decimal(0))
            row.cost_usd += more
            row.scripted_cost_usd += more if call.is_scripted else 0
            row.input_tokens += usage.input_tokens
            row.output_tokens += usage.output_tokens
            row.cache_read_tokens += usage.cache_read_tokens
            row.cache_write_tokens += usage.cache_write_tokens
            call.cost_usd, call.usage = outcome.cost_usd, asdict(usage)
            call.usage_estimated = False
            await session.flush()
            if self._is_budgeted:
                await budgets.settle(session, self._id, reserved_usd=Decimal(0), spent_usd=more)

    async def _charge_lost_call(self) -> snapshot.LostCall | None:
        """Charge a call whose answer was lost in a crash at its estimate, if there is one."""
        intended = (
            ModelCallRow.execution_id == self._id,
            ModelCallRow.status == CallStatus.INTENDED,
        )
        async with self._database.transaction() as session:
            if await session.scalar(select(ModelCallRow.id).where(*intended)) is None:
                return None
            row = await queries.lock_existing(session, self._id)
            call = await session.scalar(
                select(ModelCallRow).where(*intended).execution_options(populate_existing=True)
            )
            if call is None:
                return None
            call.status, call.cost_usd, call.usage_estimated = (
                CallStatus.LOST,
                call.estimate_usd,
                True,
            )
            cost = call.cost_usd or Decimal(0)
            row.cost_usd += cost
            row.scripted_cost_usd += cost if call.is_scripted else 0
            await session.flush()
            if self._is_budgeted:
                await budgets.settle(session, self._id, reserved_usd=cost, spent_usd=cost)
            request = None if call.superseded_at else call.request_sha256
            return snapshot.LostCall(cost, request)

    async def descendants(self) -> int:
        """The number of subtasks in the whole tree of this execution."""
        async with self._database.transaction() as session:
            return await subtasks.count_descendants(session, self._id)

    async def find_agents(self, slugs: Collection[str]) -> Mapping[str, Agent]:
        """The agents with these slugs that the execution's user has, by slug."""
        async with self._database.reading() as session:
            return await agents.find_all(session, self._user_id, slugs)

    async def find_remembered(self, tool_name: str) -> Sequence[RememberedDecision]:
        """The remembered decisions about this tool that apply to the execution now."""
        async with self._database.reading() as session:
            return await remembered_decisions.list_applying(session, self._id, tool_name)

    async def find_approval_age(self, call_id: UUID) -> ApprovalAge | None:
        """What happened between this call and its approval by a person; None without one."""
        async with self._database.reading() as session:
            return await request_changes.find_approval_age(session, call_id)

    async def has_succeeded(self, tool_name: str) -> bool:
        """Whether a call of this tool has succeeded in the execution."""
        async with self._database.reading() as session:
            return await request_changes.has_succeeded(session, self._id, tool_name)

    async def find_reason(self, tool_name: str, tool_input: str, *, since_turn: int) -> str | None:
        """The reason of the latest call with this input (as JSON text), since this turn."""
        async with self._database.reading() as session:
            return await request_changes.find_reason(
                session, self._id, tool_name, tool_input, since_turn=since_turn
            )


def _has_rare_parts(step: Step) -> bool:
    """Whether the step needs more than one statement."""
    return step.prefix is not None or bool(
        step.workspace
        or step.requests
        or step.expired_requests
        or step.cancelled_requests
        or step.children
        or step.artifacts
    )


def _receipt(written: Any, step: Step) -> Receipt:
    """The result of a step; without a row the fence has refused it."""
    if written is None:
        raise FencedOutError("Another attempt moves this execution, or it has ended.")
    return Receipt(written.event_seq, written.unread - len(step.consumed))
