"""Answers of people to input requests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.errors import FieldProblem, InputChangedError, InvalidInputError
from domain.people.answers import ANSWER_FIELDS, Asked, check_answer
from domain.people.requests import QUESTIONS, RequestKind
from domain.rules.permissions import Permissions
from persistence.executions import input_requests, lone_answers
from persistence.executions.snapshot import definition_of
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow
from services.definitions.json_schemas import value_problems
from services.executions.access import (
    get_answerable_request,
    require_answerable,
    require_scope_to_answer,
)
from services.executions.approvals import (
    add_approval,
    approval_problems,
    require_other_approver,
)
from services.executions.budget_raises import apply_raise, lock_budgets
from services.executions.holding import RULE_FIELDS, can_be_held, undo_problems
from services.executions.inputs import AnswerBody
from services.executions.remembering import STORED, remember, remember_problems
from services.plans import approvals as plan_approvals
from services.unit_of_work import UnitOfWork


async def answer(work: UnitOfWork, request_id: UUID, body: AnswerBody) -> InputRequestRow:
    """Answer an open input request; the execution then continues.

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        InputChangedError: the answer was given for another tool input.
        ExecutionTerminalError: the workflow was terminated in Temporal. Raised after the commit:
            the answer is stored, and the execution has failed.
        ScopeMissingError: the credentials may not decide (`access.require_scope_to_answer`).
    """
    row = await get_answerable_request(work.connected, work.caller, request_id)
    require_scope_to_answer(work.caller, RequestKind(row.kind))
    return await answer_found(work, row, body, must_run=True)


async def answer_found(
    work: UnitOfWork, row: InputRequestRow, body: AnswerBody, *, must_run: bool = False
) -> InputRequestRow:
    """As `answer`, of a request that the caller may answer, with credentials that may decide it.

    Without `must_run` there is no error after the commit, for an answer that is one of several.
    """
    if row.status == "open" and _is_alone(row, body):
        answered = await _answer_alone(work, row, body, must_run=must_run)
        if answered is not None:
            return answered
    request_id = row.id
    await lock_budgets(work, row)
    await plan_approvals.lock_plan_of(work, row)
    execution, row = await input_requests.lock_open(work.session, request_id)
    require_answerable(work.caller, row)
    asked = await _read_asked(work.session, execution, row, body)
    problems = [
        *remember_problems(body, row, execution),
        *approval_problems(row, body),
        *undo_problems(row, body),
    ]
    checked = await make_answer(work, asked, body, input_sha256=row.input_sha256, problems=problems)
    require_other_approver(work.caller, row, checked)
    if row.approvals_required > 1 and not await add_approval(work, row, checked):
        return row
    if body.undo_seconds:
        effective_at = datetime.now(UTC) + timedelta(seconds=body.undo_seconds)
        rule = body.model_dump(mode="json", include=set(RULE_FIELDS))
        by = work.caller.user_id
        await input_requests.hold(
            work.session, row, checked, by=by, effective_at=effective_at, rule=rule
        )
    else:
        await input_requests.answer(work.session, row, checked, by=work.caller.user_id)
        await apply_raise(work, row, checked)
        await plan_approvals.apply_decision(work, execution, row, checked)
        await remember(work, execution, row, body)
    await work.record_audit(
        "input_request.answer",
        ("input_request", request_id),
        after=_describe(row, checked),
        owner_id=row.user_id,
    )
    if not body.undo_seconds:
        work.wake_workflow(execution.id, execution.workflow_id, must_run=must_run)
    return row


def _is_alone(row: InputRequestRow, body: AnswerBody) -> bool:
    """Whether an answer changes nothing but its request, and is not checked with its execution."""
    is_remembered = body.remember in STORED or body.remember_pattern or body.remember_until
    is_special = body.undo_seconds or is_remembered or body.decision == "edit"
    return can_be_held(row) and not is_special


async def _answer_alone(
    work: UnitOfWork, row: InputRequestRow, body: AnswerBody, *, must_run: bool
) -> InputRequestRow | None:
    """Answer a request in one statement; None if it is no longer as in `row` (`lone_answers`)."""
    caller = work.caller
    asked = _make_asked(row, Permissions())
    checked = await make_answer(work, asked, body, input_sha256=row.input_sha256)
    require_other_approver(caller, row, checked)
    stored = await lone_answers.answer(
        work.connected,
        row,
        checked,
        by=caller.user_id,
        actor=caller.actor,
        after=_describe(row, checked),
    )
    if stored is None:
        return None
    answered, workflow_id = stored
    work.wake_workflow(answered.execution_id, workflow_id, must_run=must_run)
    return answered


def _describe(row: InputRequestRow, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the audit log shows of an answer."""
    return {"decision": answer["decision"], "execution_id": str(row.execution_id)}


async def _read_asked(
    session: AsyncSession, execution: ExecutionRow, row: InputRequestRow, body: AnswerBody
) -> Asked:
    """What an answer to this request must fit: the request, and its execution's rules.

    Only an edited input is checked against the rules.
    """
    permissions = Permissions()
    if body.decision == "edit":
        definition = TaskDefinition.model_validate(await definition_of(session, execution))
        permissions = definition.permissions
    return _make_asked(row, permissions)


def _make_asked(row: InputRequestRow, permissions: Permissions) -> Asked:
    return Asked(
        kind=RequestKind(row.kind),
        options=row.options,
        schema=row.schema,
        tool_name=row.tool_name,
        tool_input_schema=row.tool_input_schema,
        permissions=permissions,
    )


async def make_answer(
    work: UnitOfWork,
    asked: Asked,
    body: AnswerBody,
    *,
    input_sha256: bytes | None,
    problems: Sequence[FieldProblem] = (),
) -> dict[str, Any]:
    """Return the answer as it is stored. `input_sha256` is the hash of the request's tool input.

    `problems` are those that the caller has found.

    Raises:
        InputChangedError: the answer was given for another tool input.
    """
    expected = input_sha256.hex() if input_sha256 else None
    if body.input_sha256 is not None and body.input_sha256 != expected:
        message = "This answer was given for another tool input; read the request again."
        raise InputChangedError(message)
    given = body.model_dump(include=set(ANSWER_FIELDS), exclude_none=True)
    found = [*problems, *await _answer_problems(work, asked, given)]
    if found:
        raise InvalidInputError("The answer does not fit the request; see errors.", found)
    return {"decision": "approve", **given} if asked.kind in QUESTIONS else given


async def _answer_problems(
    work: UnitOfWork, asked: Asked, given: dict[str, Any]
) -> list[FieldProblem]:
    check = check_answer(asked, given)
    problems = list(check.problems)
    # The schemas refuse an input that the tool can't take before it uses up the approval.
    for schema in check.schemas:
        problems += await value_problems(work, schema.schema, schema.value, schema.loc)
    return problems
