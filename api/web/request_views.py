"""The page of an input request: what is asked, why, and what each choice does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Response

from api import links
from api.http.errors import status_of
from api.web import answer_forms, decisions, pages
from api.web.page_forms import form_values
from api.web.tool_inputs import InputPart, describe_edit, describe_input
from api.web.visits import Form, Visit
from domain.errors import PerdureError
from domain.model.json_values import make_encodable
from domain.people.nested_forms import hide_secrets
from domain.people.rechecks import STALE_AFTER
from domain.people.remembered_decisions import suggest_pattern
from domain.people.requests import DECISIONS, QUESTIONS, RequestKind
from domain.tools.engine import SUBMIT_PLAN
from persistence.executions import input_requests, remembered_decisions, request_changes
from persistence.executions.input_requests import RequestContext
from persistence.tables.sessions import InputRequestRow
from services.caller import missing
from services.executions.access import may_answer
from services.executions.answer_links import AnswerLink
from services.executions.approvals import has_approved
from services.executions.holding import can_be_held
from services.executions.remembering import STORED

_INSTRUCTED = (RequestKind.BUDGET, RequestKind.EFFECT_CHECK)
"""The body of these requests continues with instructions for other clients."""

_ANSWERED_AT_ONCE: Mapping[str, Any] = {"undo_seconds": 0, "can_remember": False}
"""A link answers one request, once."""

UNDO_SECONDS = 5
"""For which a person can withdraw an answer of a page (chosen: time to see the mistake)."""

_NOT_TYPED = ("undo_seconds", "csrf", "input_sha256", "decision", "review", "comment")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkVisit(Visit):
    """A visit by a link to one request; `address` is the path of the link, which is secret."""

    link: AnswerLink
    address: str
    row: InputRequestRow

    @property
    def layout(self) -> Mapping[str, Any]:
        """The layout without the navigation: the reader has not signed in."""
        shown = {"viewer": "", "csrf": "", "is_admin": False}
        return {**super(LinkVisit, self).layout, **shown}

    async def read_again(self) -> InputRequestRow:
        """The request as it is stored now."""
        async with self.call.gateway.database.reading() as session:
            row = await input_requests.find(session, self.row.id)
        if row is None:
            raise missing("input request", self.row.id)
        return row


async def render_request(
    visit: Visit,
    row: InputRequestRow,
    *,
    form: Form | None = None,
    error: PerdureError | None = None,
) -> Response:
    """The page; with an error, it shows again what was typed."""
    async with visit.call.gateway.database.reading() as session:
        context = await input_requests.load_context(session, row)
        changes = await request_changes.find_changes(session, row)
        rule = await remembered_decisions.find_by_request(session, row)
        is_rechecked = await request_changes.is_rechecked(session, row)
    is_open = row.status == "open" and context.completed_at is None
    link = visit if isinstance(visit, LinkVisit) else None
    is_plan = row.kind == RequestKind.PLAN_APPROVAL
    is_stale = not changes.is_empty or datetime.now(UTC) - row.created_at > STALE_AFTER
    shown = (
        _open_values(row, context, is_rechecked=is_rechecked and is_stale)
        if is_open
        else _describe_closed(row, is_rechecked=is_rechecked)
    )
    if link is not None and is_open:
        shown = {**shown, **_ANSWERED_AT_ONCE}
    return pages.render(
        "request.html.j2",
        200 if error is None else status_of(type(error)),
        **visit.layout,
        request=row,
        context=context,
        changes=changes,
        kind=decisions.KINDS[RequestKind(row.kind)],
        body=_body(row),
        rule=rule,
        is_own=visit.call.caller.owns(row.user_id),
        undo_ms=_undo_ms(visit, row),
        may_answer=link is not None or may_answer(visit.call.caller, row),
        address=f"{links.INBOX}/{row.id}" if link is None else link.address,
        reader="" if link is None else visit.call.principal.subject,
        temporal=None if link else links.temporal_page(visit.call, context.workflow_id),
        explanation=_explanation(context),
        effect="" if is_plan else decisions.describe_effect(context.effect),
        is_plan_mode=row.tool_name == SUBMIT_PLAN,
        input_parts=describe_call(row),
        is_open=is_open,
        is_approved=(is_approved := has_approved(row, visit.call.caller)),
        is_stored=link is not None and is_approved,
        **shown,
        **_form_values(form or Form(), error, is_open=is_open),
    )


def _body(row: InputRequestRow) -> str:
    body = row.body or ""
    return body.partition("\n\n")[0] if row.kind in _INSTRUCTED else body


def _tool_input(row: InputRequestRow) -> Any:
    return make_encodable(json.loads(row.tool_input or "null"))


def describe_call(row: InputRequestRow) -> Sequence[InputPart]:
    """The whole input of the tool call that a request is about, for a person to read."""
    return describe_input(_tool_input(row), row.tool_name) if row.tool_input else []


def _explanation(context: RequestContext) -> str:
    """What the model wrote before it made the call."""
    if context.explanation is None:
        return ""
    blocks = json.loads(context.explanation)
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    return "\n\n".join(texts).strip()


def _open_values(
    row: InputRequestRow, context: RequestContext, *, is_rechecked: bool
) -> Mapping[str, Any]:
    kind = RequestKind(row.kind)
    is_editable = "edit" in DECISIONS[kind] and row.tool_input is not None
    return {
        "choices": decisions.list_choices(row, context.effect, is_rechecked=is_rechecked),
        "edit": decisions.edit_choice(row) if is_editable else None,
        "edited": answer_forms.format_input(row) if is_editable else "",
        "texts": answer_forms.find_texts(row) if is_editable else {},
        "control": answer_forms.make_values_control(row),
        "options": answer_forms.option_labels(row) if row.schema is None else [],
        "is_question": kind in QUESTIONS,
        "undo_seconds": UNDO_SECONDS if can_be_held(row) else 0,
        "can_remember": row.reach_sha256 is not None and row.approvals_required == 1,
        "lifetimes": answer_forms.LIFETIMES.items(),
        "suggested_pattern": suggest_pattern(row.tool_name or "", _tool_input(row)) or "",
        "expiry": decisions.describe_expiry(row) if row.due_at else "",
        "input_sha256": row.input_sha256.hex() if row.input_sha256 else "",
    }


def _undo_ms(visit: Visit, row: InputRequestRow) -> int:
    """For how long the viewer can withdraw their answer, in milliseconds; 0 if they can't."""
    is_held = row.held_rule is not None and row.answered_by == visit.call.caller.user_id
    if not is_held or row.effective_at is None:
        return 0
    left = row.effective_at - datetime.now(UTC)
    return max(int(left.total_seconds() * 1000), 0)


def _describe_closed(row: InputRequestRow, *, is_rechecked: bool) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = row.answer or {}
    values = hide_secrets(row.schema, answer.get("values"))
    edited = answer.get("input")
    return {
        "outcome": decisions.describe_answer(row, is_rechecked=is_rechecked)
        if row.answer
        else decisions.describe_end(row),
        "decision": _describe_decision(row, answer.get("decision")),
        "is_remembered_later": (row.held_rule or {}).get("remember") in STORED,
        "answer_message": answer.get("message") or "",
        "answer_values": [] if values in (None, {}) else describe_input(values),
        "answer_input": [] if edited is None else describe_edit(_tool_input(row), edited),
    }


_PAST: Mapping[str, str] = {
    "approve": "Approved",
    "deny": "Denied",
    "edit": "Approved with changes",
    "finish": "Finished with the answers so far",
    "happened": "It took effect",
    "not_happened": "Run again",
    "skip": "Skipped",
}


def _describe_decision(row: InputRequestRow, decision: Any) -> str:
    if RequestKind(row.kind) in QUESTIONS:
        return "Left unanswered" if decision == "deny" else "Answered"
    return _PAST.get(str(decision), "Answered")


def _form_values(form: Form, error: PerdureError | None, *, is_open: bool) -> Mapping[str, Any]:
    shown = form_values(form, error)
    return {**shown, "unsent": [] if is_open else _unsent(shown["typed"])}


def _unsent(typed: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """What was typed for a request that takes no answer any more."""
    return [
        (name.removeprefix("values/"), value)
        for name, values in typed.items()
        if name not in _NOT_TYPED
        for value in values
        if value
    ]
