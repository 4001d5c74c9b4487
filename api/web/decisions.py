"""The choices that a person has for a request, and what each of them does, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.people.requests import EXPIRING, QUESTIONS, RequestKind
from domain.tools.calls import ToolEffect
from domain.tools.engine import SUBMIT_PLAN
from persistence.tables.sessions import InputRequestRow


@dataclass(frozen=True, slots=True)
class Choice:
    """A button: what it sends, its label, what happens then, and how it looks.

    `checks_form`: the browser refuses to send the form while a required field is empty.
    """

    decision: str
    label: str
    effect: str
    tone: str = "quiet"
    checks_form: bool = False


EFFECTS: Mapping[ToolEffect, str] = {
    ToolEffect.READ_ONLY: "It only reads.",
    ToolEffect.IDEMPOTENT: "It can change data. A second run would change nothing more.",
    ToolEffect.WORKSPACE: (
        "It runs in the sandbox without network, and can change only the files of this session."
    ),
    ToolEffect.EXTERNAL: (
        "It can change things outside Perdure, and Perdure cannot undo what it does."
    ),
}

KINDS: Mapping[RequestKind, str] = {
    RequestKind.QUESTION: "Question",
    RequestKind.FORM: "Form",
    RequestKind.APPROVAL: "Approval of a tool call",
    RequestKind.PLAN_APPROVAL: "Approval of a plan",
    RequestKind.BUDGET: "Budget",
    RequestKind.EFFECT_CHECK: "Interrupted tool call",
}

_DENY = Choice(
    "deny",
    "Deny",
    "The call does not run. The model receives the message and decides what to do next.",
    "bad",
)
EDIT = Choice(
    "edit",
    "Approve with changes",
    "The call runs with the changed input, and the model is informed of the change.",
    "good",
)
"""The button below the editable input."""

_RECHECKED = (
    "Something may have changed since the model made this call, so the model is asked again first. "
    "If it repeats the call, the call runs without another question."
)
_RECHECKED_ANSWER = (
    "If nothing has changed since it was asked, the call runs with the input below. Otherwise, the "
    "model is asked again first."
)

_EXPIRY: Mapping[str, str] = {
    "fail": "If there is no answer by then, the execution fails.",
    "deny": "If there is no answer by then, it counts as denied.",
    "default": "If there is no answer by then, the task's default answer applies.",
}
_STAYS_OPEN = "The request stays open after that."


def is_open_approval(row: InputRequestRow) -> bool:
    """Whether a person can decide about the call together with alike ones."""
    is_approval = row.kind == RequestKind.APPROVAL and row.input_sha256 is not None
    return is_approval and row.status == "open"


def edit_choice(row: InputRequestRow) -> Choice:
    """The button below the editable input of a request."""
    if row.tool_name == SUBMIT_PLAN:
        return replace(EDIT, effect="The model carries out the changed plan.")
    return EDIT


def list_choices(
    row: InputRequestRow, effect: str | None, *, is_rechecked: bool = False
) -> list[Choice]:
    """The buttons for an open request, in their order; without that for an edit.

    `is_rechecked`: the model is asked again before an approved call runs.
    """
    kind = RequestKind(row.kind)
    if kind in QUESTIONS:
        return [
            Choice(
                "approve",
                "Send answer",
                "The model receives the answer, and the execution continues.",
                "good",
                checks_form=True,
            ),
            Choice(
                "deny",
                "Leave unanswered",
                "The model is informed that there is no answer, and the execution continues.",
            ),
        ]
    if kind is RequestKind.BUDGET:
        return _budget_choices(row)
    if kind is RequestKind.EFFECT_CHECK:
        return _effect_choices(effect)
    if kind is RequestKind.PLAN_APPROVAL:
        return _plan_choices(row)
    first = _RECHECKED if is_rechecked else "The call runs with exactly this input."
    runs = f"{first} {describe_effect(effect)}".rstrip()
    return [Choice("approve", "Approve", runs, "good", checks_form=True), _DENY]


def _plan_choices(row: InputRequestRow) -> list[Choice]:
    approved, denied = "The plan starts as shown.", "The plan does not start."
    if row.tool_name == SUBMIT_PLAN:
        approved = "The model carries out the plan as shown."
        denied = "The model receives the message and revises the plan."
    return [
        Choice("approve", "Approve", approved, "good", checks_form=True),
        Choice("deny", "Reject", denied, "bad"),
    ]


def _budget_choices(row: InputRequestRow) -> list[Choice]:
    raised = "The budget is raised to this amount, and the execution continues."
    label = "Raise the budget"
    if row.schema is None:
        label, raised = "Try again", "The model is called again, and the execution continues."
    return [
        Choice("approve", label, raised, "good", checks_form=True),
        Choice("finish", "Finish", "The execution completes with the answers so far."),
        Choice("deny", "Stop", "The execution fails.", "bad"),
    ]


def _effect_choices(effect: str | None) -> list[Choice]:
    runs = "The call had no effect. It runs now with this input."
    return [
        Choice(
            "happened",
            "It took effect",
            "The call does not run again. The message becomes its result.",
        ),
        Choice("not_happened", "Run it now", f"{runs} {describe_effect(effect)}".rstrip()),
        Choice(
            "skip",
            "Skip it",
            "The call does not run again. The model is informed that its effect is unknown.",
        ),
    ]


def describe_effect(effect: str | None) -> str:
    """What a call of this class can change; an empty text if the class is unknown."""
    return "" if effect is None else EFFECTS[ToolEffect(effect)]


def describe_expiry(row: InputRequestRow) -> str:
    """What happens when an open request is due."""
    if row.on_expiry == "escalate" and row.escalation is not None:
        return f"If there is no answer by then, it is assigned to {row.escalation['to']}."
    return _EXPIRY[row.on_expiry] if row.on_expiry in EXPIRING else _STAYS_OPEN


def describe_answer(row: InputRequestRow, *, is_rechecked: bool = False) -> str:
    """What a person has decided, and what follows.

    `is_rechecked`: a stale approval does not run the call.
    """
    answer: Mapping[str, Any] = row.answer or {}
    decision = answer.get("decision")
    if RequestKind(row.kind) is RequestKind.APPROVAL and decision == "approve":
        return _RECHECKED_ANSWER if is_rechecked else "The call runs with the input below."
    if decision == EDIT.decision:
        return edit_choice(row).effect
    choices = {choice.decision: choice.effect for choice in list_choices(row, None)}
    return choices.get(str(decision), "The execution continues.")


_EXPIRED: Mapping[str, str] = {
    "fail": "The execution fails.",
    "deny": "It counts as denied.",
    "default": "The task's default answer applies.",
}


def describe_end(row: InputRequestRow) -> str:
    """Why a request that no person answered takes no answer any more, and what follows."""
    if row.status == "expired":
        return f"There was no answer in time. {_EXPIRED.get(row.on_expiry, '')}".rstrip()
    if row.status == "cancelled":
        return "The request was cancelled, because the execution no longer needs an answer."
    return "The execution has ended, so this request takes no answer any more."
