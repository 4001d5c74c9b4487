"""Which workflow run writes an execution: its start, new runs and epochs, and operators' resets."""

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, null, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.execution import CreateSessionResult, WorkerState
from domain.errors import (
    ExecutionTerminalError,
    FencedOutError,
    ResetRefusedError,
    WorkspaceElsewhereError,
)
from domain.executions.signals import SignalKind
from domain.executions.states import ACTIVE, ExecutionStatus
from persistence.db import locks, sql
from persistence.db.database import Database
from persistence.executions import lifecycle, queries, signals
from persistence.executions.cascade import cancel_children
from persistence.executions.fencing import MAY_TAKE, RunIdentity
from persistence.ledger import audit
from persistence.ledger.audit import ENGINE
from persistence.sessions import workspaces
from persistence.tables.executions import ExecutionRow, SignalRow
from persistence.tables.sessions import (
    InputRequestRow,
    MessageRow,
    ModelCallRow,
    SessionRow,
    ToolCallRow,
)

_SQL = sql.load("executions/admission.sql", may_take=MAY_TAKE, terminal=lifecycle.TERMINAL_STATUSES)


async def create_session(
    database: Database, execution_id: UUID, run: RunIdentity
) -> CreateSessionResult:
    """Start the execution with a session, or admit a later run or the run of an external one."""
    if (external := await lifecycle.start_external(database, execution_id, run)) is not None:
        return CreateSessionResult(worker=_describe_worker(external))
    if await lifecycle.start(database, execution_id, run) is not None:
        return CreateSessionResult()
    async with database.transaction() as session:
        row = await lock_and_admit(session, execution_id, run)
        if row is None:
            return CreateSessionResult(is_terminal=True)
        await signals.consume_start(session, row.id)
        is_external = row.executor == "external"
        return CreateSessionResult(worker=_describe_worker(row) if is_external else None)


async def check_worker(database: Database, execution_id: UUID, run: RunIdentity) -> WorkerState:
    """Read whether an external execution has ended or must; admits a later run."""
    async with database.transaction() as session:
        row = await lock_and_admit(session, execution_id, run)
        return WorkerState(must_finish=True) if row is None else _describe_worker(row)


async def lock_and_admit(
    session: AsyncSession, execution_id: UUID, run: RunIdentity
) -> ExecutionRow | None:
    """Lock the execution and admit the run; None if the execution has ended."""
    row = await _lock_for(session, execution_id, run)
    is_known = run.run_id in row.run_epochs
    if ExecutionStatus(row.status).is_terminal and (is_known or not run.is_reset):
        return None
    await admit(session, row, run)
    return row


def _describe_worker(row: ExecutionRow | SimpleNamespace) -> WorkerState:
    return WorkerState(must_finish=row.cancel_requested_at is not None, deadline_at=row.deadline_at)


async def become_writer(
    database: Database,
    execution_id: UUID,
    run: RunIdentity,
    *,
    host_id: UUID,
    from_host_id: UUID | None = None,
) -> SimpleNamespace:
    """Become the one writer; the row of the statement `take`.

    A workspace on `from_host_id`, which does not answer, moves to this host.

    Raises:
        FencedOutError: a newer attempt has written.
        ExecutionTerminalError: it has ended.
        WorkspaceElsewhereError: the session's workspace is on another host.
    """
    parameters = {
        **run.token(),
        "is_repeat": run.is_repeat,
        "execution_id": execution_id,
        "host_id": host_id,
        "from_host_id": from_host_id,
    }
    taken = await database.raw.run(_SQL["take"], parameters)
    if taken is None:
        async with database.transaction() as session:
            await _admit_or_refuse(session, execution_id, run, host_id)
        taken = await database.raw.run(_SQL["take"], parameters)
    if taken is None:
        raise FencedOutError("Another attempt moves this execution.")
    if from_host_id is not None:
        # The statement does not see a step for whose commit it waited.
        async with database.reading() as session:
            newest = await workspaces.find_current(session, taken.session_id)
        taken.workspace_snapshot = None if newest is None else newest.sha256
    return taken


async def _admit_or_refuse(
    session: AsyncSession, execution_id: UUID, run: RunIdentity, host_id: UUID
) -> None:
    """Admit a new run, or say why the execution can't be taken."""
    row = await _lock_for(session, execution_id, run)
    await admit(session, row, run)
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"The execution is {row.status}.")
    holder = await session.scalar(
        select(SessionRow.workspace_host_id).where(SessionRow.id == row.session_id)
    )
    if holder is not None and holder != host_id:
        detail = f"The workspace is on host {holder}; this is {host_id}."
        raise WorkspaceElsewhereError(detail, holder)


async def _lock_for(session: AsyncSession, execution_id: UUID, run: RunIdentity) -> ExecutionRow:
    """Lock the execution; a reset may reopen it, and locks its session before."""
    if run.is_reset or run.continued_run_id is not None:
        await locks.lock_session_of(session, execution_id)
    return await queries.lock_existing(session, execution_id)


async def admit(session: AsyncSession, row: ExecutionRow, run: RunIdentity) -> None:
    """Allow a new run to write the locked execution; does nothing for a known run.

    The run of an operator's reset starts a new epoch and supersedes everything after the last step
    that it knows. A run that starts from the beginning after another run starts a new epoch too,
    and supersedes nothing: the other workflow was lost. Continue-as-new stays in the epoch of the
    run before it.

    Raises:
        FencedOutError: the execution belongs to another workflow, or there is a newer epoch.
        ResetRefusedError: the locked session has continued with another execution.
    """
    if row.workflow_id != run.workflow_id:
        raise FencedOutError(f"The execution belongs to workflow {row.workflow_id}.")
    epoch = row.run_epochs.get(run.run_id)
    if epoch is None:
        is_reset = run.is_reset or _continues_a_reset(row, run)
        if is_reset:
            await _refuse_if_continued(session, row)
        epoch = row.run_epochs.get(run.continued_run_id or "", row.epoch)
        is_restart = run.segment == 0 and bool(row.run_epochs)
        if is_reset or is_restart:
            epoch = row.epoch + 1
        row.run_epochs = {**row.run_epochs, run.run_id: epoch}
        row.run_id = run.run_id
        if epoch > row.epoch:
            row.epoch, row.segment, row.attempt = epoch, 0, 0
        # An execution that has not started has no steps to supersede.
        if is_reset and row.status not in lifecycle.NOT_STARTED:
            await _supersede(session, row, run.last_message_seq)
    if epoch < row.epoch:
        raise FencedOutError("A newer run moves this execution.")
    await session.flush()


def _continues_a_reset(row: ExecutionRow, run: RunIdentity) -> bool:
    """Whether the run before this one was that of a reset and continued before any activity.

    Then that run is unknown, and other runs have begun the segment that comes next.
    """
    before = run.continued_run_id
    return before is not None and before not in row.run_epochs and run.segment <= row.segment


async def _refuse_if_continued(session: AsyncSession, row: ExecutionRow) -> None:
    """Refuse a reset if the session has continued with another execution.

    An active one occupies the session. After one that has added messages, the conversation can't
    continue from an earlier place.
    """
    first = (
        select(func.min(MessageRow.seq)).where(MessageRow.execution_id == row.id).scalar_subquery()
    )
    has_messages = exists().where(
        MessageRow.session_id == row.session_id,
        MessageRow.execution_id == ExecutionRow.id,
        MessageRow.superseded_at.is_(None),
        MessageRow.seq > first,
    )
    result = await session.execute(
        select(ExecutionRow.id, ExecutionRow.status)
        .where(
            ExecutionRow.session_id == row.session_id,
            ExecutionRow.id != row.id,
            ExecutionRow.status.in_(ACTIVE) | has_messages,
        )
        .order_by(ExecutionRow.status.in_(ACTIVE).desc(), ExecutionRow.id.desc())
        .limit(1)
    )
    other = result.one_or_none()
    if other is not None:
        raise ResetRefusedError(
            "The reset is refused and has changed nothing: the session of this execution has "
            f"continued with execution {other.id}, which is {other.status}. Fork this execution at "
            "a turn or retry it instead: both get a session of their own."
        )


async def record_refusal(
    session: AsyncSession, execution_id: UUID, refusal: ResetRefusedError
) -> None:
    """Store in the audit log that an operator's reset was refused; the execution is not changed."""
    row = await queries.lock_existing(session, execution_id)
    await audit.record(
        session,
        ENGINE,
        "execution.reset_refused",
        ("execution", execution_id),
        after={"status": row.status, "reason": refusal.detail},
        owner_id=row.user_id,
    )


async def _supersede(session: AsyncSession, row: ExecutionRow, last_message_seq: int) -> None:
    """Supersede every step after `last_message_seq`, except the prompt; costs are kept."""
    own = (MessageRow.execution_id == row.id, MessageRow.superseded_at.is_(None))
    kept = max(last_message_seq, await _find_prompt_seq(session, own))
    # The current time, not the transaction's, which may have waited for the row: a fork that was
    # created meanwhile still includes what is superseded here.
    now = text("clock_timestamp()")
    messages = await session.scalars(
        update(MessageRow)
        .where(*own, MessageRow.seq > kept)
        .values(superseded_at=now)
        .returning(MessageRow.id)
    )
    turns = await session.scalars(
        update(ModelCallRow)
        .where(
            ModelCallRow.execution_id == row.id,
            ModelCallRow.superseded_at.is_(None),
            ModelCallRow.last_message_seq >= kept,
        )
        .values(superseded_at=now)
        .returning(ModelCallRow.turn)
    )
    superseded_turns = set(turns)
    calls = await session.scalars(
        update(ToolCallRow)
        .where(
            ToolCallRow.execution_id == row.id,
            ToolCallRow.superseded_at.is_(None),
            ToolCallRow.turn.in_(superseded_turns),
        )
        .values(superseded_at=now)
        .returning(ToolCallRow.id)
    )
    await _cancel_superseded(session, row, calls.all())
    is_whole = not messages.all() and not superseded_turns
    lifecycle.reopen(session, row, kept, keep_outcome=is_whole)


async def _cancel_superseded(
    session: AsyncSession, row: ExecutionRow, superseded: Sequence[UUID]
) -> None:
    """Cancel the requests and subtasks of these tool calls, and drop a requested cancellation."""
    await session.execute(
        update(InputRequestRow)
        .where(
            InputRequestRow.tool_call_id.in_(superseded),
            or_(InputRequestRow.status == "open", InputRequestRow.held_rule.is_not(None)),
        )
        .values(status="cancelled", held_rule=null())
    )
    await cancel_children(
        session,
        ExecutionRow.parent_tool_call_id.in_(superseded),
        reason="the parent was reset to before it",
    )
    await session.execute(
        update(SignalRow)
        .where(
            SignalRow.execution_id == row.id,
            SignalRow.kind == SignalKind.CANCEL,
            SignalRow.consumed_at.is_(None),
        )
        .values(consumed_at=text("now()"))
    )


async def _find_prompt_seq(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> int:
    """The execution's first message if it is a prompt: a fork may start with an answer."""
    result = await session.execute(
        select(MessageRow.seq, MessageRow.role).where(*conditions).order_by(MessageRow.seq).limit(1)
    )
    first = result.one_or_none()
    return first.seq if first is not None and first.role == "user" else 0
