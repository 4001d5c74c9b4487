"""Payloads of the execution workflow: ids and small facts, never content.

Old histories must still parse: add fields with defaults, never rename one.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from contracts.definitions import Contract
from domain.errors import ErrorCode
from domain.outcomes import Outcome
from domain.states import ExecutionStatus


class ExecutionInput(Contract):
    """What starts a run: an execution, or the task whose schedule fires and makes one.

    The other fields are carried over by continue-as-new.
    """

    execution_id: UUID | None = None
    task_id: UUID | None = None
    segment: int = 0
    last_message_seq: int = 0
    is_continued: bool = False


class RunRef(Contract):
    """Which run of which execution asks, and where it stands.

    `segment` grows with every step the workflow takes and is part of the fencing token.
    `last_message_seq` is the last message the workflow knows of. `is_reset`: an operator has reset
    the workflow, so that later messages are superseded.
    """

    execution_id: UUID
    segment: int
    last_message_seq: int = 0
    is_reset: bool = False


class CreateExecutionInput(Contract):
    """A fire of a task's schedule, known by its workflow id and the id of that one's first run."""

    task_id: UUID
    first_run_id: str
    scheduled_at: datetime


class CreateExecutionResult(Contract):
    """The execution of a fire; none where it is skipped, which is on record with its reason."""

    execution_id: UUID | None = None


class CreateSessionResult(Contract):
    """The session is there. `is_terminal`: the execution had ended, there is nothing to do."""

    is_terminal: bool = False


class RenderPromptResult(Contract):
    """The prompt is message `last_message_seq`, or `error_code` says why there is none."""

    last_message_seq: int = 0
    error_code: ErrorCode | None = None


class CallClaudeResult(Contract):
    """Why a segment ended, in ids. `cost_usd` and `turns` are the execution's totals."""

    outcome: Outcome
    last_message_seq: int = 0
    error_code: ErrorCode | None = None
    children: tuple[UUID, ...] = ()
    wakes_at: datetime | None = None
    turns: int = 0
    cost_usd: Decimal = Decimal(0)
    wants_report: bool = False


class FinishInput(Contract):
    """How the execution ends, unless somebody said something in the meantime."""

    run: RunRef
    status: ExecutionStatus
    error_code: ErrorCode | None = None
    report_failed: bool = False


class FinishResult(Contract):
    """The terminal state, or `has_unread_messages`: there is a message to be answered first.

    `parent_workflow_id` is to be rung: its subtask has ended.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    has_unread_messages: bool = False
    parent_workflow_id: str | None = None
    cost_usd: Decimal = Decimal(0)


class ExecutionResult(Contract):
    """What the workflow returns; everything else is in Postgres.

    `is_skipped`: a schedule's fire that made no execution.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    is_skipped: bool = False


class Progress(Contract):
    """Answer to the query `progress`: where the execution stood at the end of its last segment."""

    status: ExecutionStatus
    activity: str
    turns: int = 0
    cost_usd: Decimal = Decimal(0)
    wakes_at: datetime | None = None
