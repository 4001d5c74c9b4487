"""Payloads of the execution workflow: ids and small facts, never content.

Old histories must still parse: add fields with defaults, never rename one.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from contracts.payloads import Contract
from domain.errors import ErrorCode
from domain.executions.outcomes import Outcome
from domain.executions.states import ExecutionStatus


class ExecutionInput(Contract):
    """The execution to run, or the task whose schedule started the workflow.

    `is_for_claude`: Claude runs the execution, so the first segment also creates the session and
    renders the prompt. False if a worker runs it, or if the starter does not know. Continue-as-new
    sets the other fields.
    """

    execution_id: UUID | None = None
    task_id: UUID | None = None
    is_for_claude: bool = False
    segment: int = 0
    last_message_seq: int = 0
    is_continued: bool = False
    host_id: UUID | None = None


class RunRef(Contract):
    """The execution and the run that an activity works for, and how far the run has come.

    `segment` grows with every step the workflow takes and is part of the fencing token.
    `last_message_seq` is the last message that the workflow knows. `is_reset`: an operator reset
    the workflow, so later messages are superseded. `run_id` is the run that called the activity: if
    the activity runs for another one, a reset has repeated the call. `continued_run_id` is the run
    before it, if it began by continue-as-new. `is_repeat`: the last segment was interrupted,
    because its worker died. `is_start`: no activity has created the session yet.
    """

    execution_id: UUID
    segment: int
    last_message_seq: int = 0
    is_reset: bool = False
    run_id: str | None = None
    continued_run_id: str | None = None
    is_repeat: bool = False
    is_start: bool = False


class CreateExecutionInput(Contract):
    """A scheduled run of a task. Its key is the workflow id with the id of its first run."""

    task_id: UUID
    first_run_id: str
    scheduled_at: datetime


class CreateExecutionResult(Contract):
    """The execution of a scheduled run, or None if the run is skipped for a recorded reason."""

    execution_id: UUID | None = None


class FinishResult(Contract):
    """The terminal status, unless `has_unread_messages`: Claude has to answer a message first.

    `parent_workflow_id` is the workflow to wake, because its subtask has ended. `cost_usd` and
    `turns` are totals of the execution.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    has_unread_messages: bool = False
    parent_workflow_id: str | None = None
    cost_usd: Decimal = Decimal(0)
    turns: int = 0


class WorkerState(Contract):
    """What an external execution waits for: its worker, until the deadline if it has one.

    `must_finish`: it has ended, or its cancellation was requested. `end` is what was written then.
    """

    must_finish: bool
    deadline_at: datetime | None = None
    end: FinishResult | None = None


class CreateSessionResult(Contract):
    """The session exists. `is_terminal`: the execution has already ended; nothing is left to do.

    `worker` is None if Claude runs the execution.
    """

    is_terminal: bool = False
    worker: WorkerState | None = None


class RenderPromptResult(Contract):
    """The prompt is message `last_message_seq`, unless `error_code` says why there is none."""

    last_message_seq: int = 0
    error_code: ErrorCode | None = None


class CallClaudeResult(Contract):
    """Why a segment ended. `cost_usd` and `turns` are totals of the execution.

    `subtask_ids` are the subtasks to start, `wakes_at` is the time to continue at the latest.
    `host_id` is the host on which to continue, if there are several and the execution has files.
    `end` is what `finish` would return, if the segment has written the end too: it does so if no
    report is wanted.
    """

    outcome: Outcome
    last_message_seq: int = 0
    error_code: ErrorCode | None = None
    subtask_ids: tuple[UUID, ...] = ()
    wakes_at: datetime | None = None
    turns: int = 0
    cost_usd: Decimal = Decimal(0)
    wants_report: bool = False
    host_id: UUID | None = None
    end: FinishResult | None = None


class FinishInput(Contract):
    """The status to end with, unless the execution has an unread message.

    `is_plan`: the cost in the result is that of the plan with all its steps.
    """

    run: RunRef
    status: ExecutionStatus
    error_code: ErrorCode | None = None
    report_failed: bool = False
    is_plan: bool = False


class ExecutionResult(Contract):
    """The result of the workflow. Everything else is in Postgres.

    `is_skipped`: a scheduled run that created no execution.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    is_skipped: bool = False


class Progress(Contract):
    """The answer to the query `progress`: the state at the end of the last segment."""

    status: ExecutionStatus
    activity: str
    turns: int = 0
    cost_usd: Decimal = Decimal(0)
    wakes_at: datetime | None = None
