"""Buttons of Slack messages, with which people decide on the tool call that the message shows.

Slack signs who has clicked. What a button decides is encrypted by us, because the owners of other
tasks can send messages with any buttons to the same app.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from domain.errors import ConflictError, NotFoundError, SecretsNotConfiguredError
from domain.people.requests import DECISIONS, RequestKind
from domain.secrets import from_url_text, to_url_text
from domain.text import harmless
from persistence.definitions.secrets import SecretSealer
from persistence.tables.sessions import InputRequestRow
from services.executions import answers
from services.executions.answer_links import LIFETIME
from services.executions.inputs import AnswerBody
from services.unit_of_work import UnitOfWork

MOST_CHARACTERS = 2_800
"""Of an input as a message shows it; Slack shows 3,000 (Block Kit reference, section block)."""

LABELS = {
    "approve": "Approve",
    "deny": "Deny",
    "happened": "It took effect",
    "not_happened": "Run it now",
    "skip": "Skip it",
}

_KINDS = frozenset({RequestKind.APPROVAL, RequestKind.EFFECT_CHECK})
"""Their evidence is the tool's input, which a message can show."""

_LABEL = "slack button"

NO_BUTTON = "Perdure did not make this button. Open the inbox to see what waits for you."
EXPIRED = "This button has expired. Open the inbox to answer."
VOID = "The request was assigned again after this message. Open the inbox to answer."


@dataclass(frozen=True, slots=True)
class SlackButton:
    """A button: its decision, and the sealed value that Slack sends back."""

    decision: str
    value: str


@dataclass(frozen=True, slots=True)
class ButtonMeaning:
    """What a button decides. `assignments` is the request's count when it was made."""

    request_id: UUID
    decision: str
    input_sha256: str
    assignments: int
    expires_at: float

    @classmethod
    def open(cls, sealer: SecretSealer, value: str) -> Self:
        """Read the value of a button.

        Raises:
            NotFoundError: we did not make it.
            ConflictError: it has expired.
        """
        try:
            given = json.loads(sealer.open(from_url_text(value), label=_LABEL))
        except (SecretsNotConfiguredError, ValueError) as error:
            raise NotFoundError(NO_BUTTON) from error
        meaning = cls(**{**given, "request_id": UUID(given["request_id"])})
        if meaning.expires_at <= datetime.now(UTC).timestamp():
            raise ConflictError(EXPIRED)
        return meaning


def make_buttons(row: InputRequestRow, sealer: SecretSealer) -> Sequence[SlackButton]:
    """The buttons of a message about an open request; none if it can't show the whole input.

    Raises:
        SecretsNotConfiguredError: the operator has set no key.
    """
    kind, shown = RequestKind(row.kind), row.tool_input
    if kind not in _KINDS or shown is None or len(harmless(shown)) > MOST_CHARACTERS:
        return ()
    expires_at = (datetime.now(UTC) + LIFETIME).timestamp()
    sha256 = (row.input_sha256 or b"").hex()
    return [
        SlackButton(decision, _seal(meaning, sealer))
        for decision in DECISIONS[kind]
        if decision in LABELS
        for meaning in [ButtonMeaning(row.id, decision, sha256, row.assignments, expires_at)]
    ]


def _seal(meaning: ButtonMeaning, sealer: SecretSealer) -> str:
    return to_url_text(sealer.seal(json.dumps(asdict(meaning), default=str), label=_LABEL))


async def answer_by_button(work: UnitOfWork, value: str) -> InputRequestRow:
    """Answer the request of a button as the caller (`answers.answer`).

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        ConflictError: the button has expired, or the request was assigned again.
        NotFoundError: we did not make the button.
    """
    meaning = ButtonMeaning.open(work.services.links, value)
    body = AnswerBody.model_validate(
        {"decision": meaning.decision, "input_sha256": meaning.input_sha256}
    )
    row = await answers.answer(work, meaning.request_id, body)
    if row.assignments != meaning.assignments:  # the row is locked now
        raise ConflictError(VOID)
    return row
