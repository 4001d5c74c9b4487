"""Remembered decisions: the rules that people store with an answer, and revoke."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem
from domain.ids import new_id
from domain.people.remembered_decisions import pattern_covers
from domain.people.requests import RequestKind
from persistence.db.paging import Page, Window
from persistence.executions import remembered_decisions
from persistence.tables.executions import ExecutionRow
from persistence.tables.people import RememberedDecisionRow
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller, missing
from services.definitions.resources import Resource
from services.executions.inputs import AnswerBody
from services.unit_of_work import UnitOfWork

TASK_LIFETIME = timedelta(days=90)
"""Of a rule for a task whose author names no time (chosen: a quarter)."""

MAX_LIFETIME = timedelta(days=366)
"""Of any rule (chosen: the author looks at it again after a year)."""

STORED = frozenset({"execution", "task"})
"""Values of `remember` that store a rule."""

DECISIONS = frozenset({"approve", "deny"})


class RememberedFilter(BaseModel):
    """Filters for a list of remembered decisions, by what they apply to."""

    model_config = ConfigDict(frozen=True)

    task_id: UUID | None = None
    execution_id: UUID | None = None


def remember_problems(
    body: AnswerBody, row: InputRequestRow, execution: ExecutionRow
) -> Iterator[FieldProblem]:
    """What keeps an answer from being remembered as its author wants."""
    if body.remember in STORED:
        if hint := _refusal(body, row, execution):
            yield _problem("remember", hint)
        elif body.remember_pattern is not None and not pattern_covers(
            body.remember_pattern, str(row.tool_name), json.loads(row.tool_input or "null")
        ):
            hint = f"The pattern must cover the call that you see, as {row.tool_name}(…) does."
            yield _problem("remember_pattern", hint)
        if (until := body.remember_until) is not None:
            now = datetime.now(UTC)
            if not now < until <= now + MAX_LIFETIME:
                hint = "Choose a time in the future, at most a year from now."
                yield _problem("remember_until", hint)
    else:
        for name in ("remember_pattern", "remember_until"):
            if getattr(body, name) is not None:
                yield _problem(name, "Send it only with remember: execution or task.")


def _refusal(body: AnswerBody, row: InputRequestRow, execution: ExecutionRow) -> str | None:
    if row.kind != RequestKind.APPROVAL:
        return f"Only approvals of tool calls can be remembered, not a request of kind {row.kind}."
    if body.decision not in DECISIONS:
        return "Only approve and deny can be remembered; leave remember out for an edited input."
    if row.reach_sha256 is None:
        return "This request does not record what its tool can reach; leave remember out."
    if body.remember == "task" and execution.task_id is None:
        return "This execution has no task; use execution, or leave remember out."
    return None


def _problem(name: str, hint: str) -> FieldProblem:
    return FieldProblem(("body", name), hint)


async def remember(
    work: UnitOfWork, execution: ExecutionRow, row: InputRequestRow, body: AnswerBody
) -> None:
    """Store the rule of a checked answer, if its author wants one."""
    if body.remember not in STORED:
        return
    is_task = body.remember == "task"
    default = datetime.now(UTC) + TASK_LIFETIME if is_task else None
    rule = RememberedDecisionRow(
        id=new_id(),
        user_id=row.user_id,
        author_id=work.caller.user_id,
        input_request_id=row.id,
        execution_id=None if is_task else execution.id,
        task_id=execution.task_id if is_task else None,
        decision=body.decision,
        tool_name=row.tool_name,
        tool_input=row.tool_input,
        input_sha256=row.input_sha256,
        reach_sha256=row.reach_sha256,
        pattern=body.remember_pattern,
        message=body.message,
        expires_at=body.remember_until or default,
    )
    work.session.add(rule)
    await work.session.flush()
    await work.record_audit(
        "remembered_decision.create",
        ("remembered_decision", rule.id),
        after=REMEMBERED_DECISIONS.audited_fields(rule),
        owner_id=rule.user_id,
    )


class RememberedDecisions(Resource[RememberedDecisionRow]):
    """The declaration of remembered decisions; executions' owners and the authors see them."""

    entity, noun, delete_verb = "remembered_decision", "remembered decision", "revoke"

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> RememberedDecisionRow:
        """Return a rule that is not revoked (`Resource.find`)."""
        row = await remembered_decisions.find(session, key, lock=lock)
        if row is None:
            raise missing(self.noun, key)
        if caller.is_agent or row.author_id != caller.user_id:
            caller.require_own(row.user_id, self.noun, key)
        return row

    async def page(
        self, session: AsyncSession, caller: Caller, narrowed: RememberedFilter, window: Window
    ) -> Page[RememberedDecisionRow]:
        """Return a page of the rules that the caller may revoke."""
        return await remembered_decisions.page(
            session, caller.user_id, narrowed.model_dump(), window
        )

    def audited_fields(self, row: RememberedDecisionRow) -> Mapping[str, Any]:
        """Return what the rule decides and for what, without the input."""
        return {
            "decision": row.decision,
            "tool_name": row.tool_name,
            "pattern": row.pattern,
            "input_sha256": row.input_sha256.hex(),
            "scope": row.scope,
            "execution_id": row.execution_id and str(row.execution_id),
            "task_id": row.task_id and str(row.task_id),
            "input_request_id": str(row.input_request_id),
            "expires_at": row.expires_at and row.expires_at.isoformat(),
        }

    async def remove(self, work: UnitOfWork, row: RememberedDecisionRow) -> None:
        """Revoke a locked rule: the next call that it covers needs approval again."""
        await remembered_decisions.revoke(work.session, row)


REMEMBERED_DECISIONS = RememberedDecisions()
