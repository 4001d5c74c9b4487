"""Links that answer one input request once, as one user and without a sign-in.

A link contains its whole meaning, encrypted (`Services.links`); only that it is used is stored, in
the transaction of the answer. It expires, and is void once the request is assigned to others or
another user works on it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import (
    AlreadyAnsweredError,
    ConflictError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    SecretsNotConfiguredError,
)
from domain.secrets import from_url_text, to_url_text
from persistence.db import idempotency
from persistence.definitions.secrets import SecretSealer
from persistence.executions import input_requests
from persistence.identity import groups, users
from persistence.ledger.audit import Actor
from persistence.tables.ledger import UserRow
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller
from services.executions import answers
from services.executions.access import require_answerable
from services.executions.inputs import AnswerBody
from services.executions.remembering import STORED
from services.unit_of_work import UnitOfWork

LIFETIME = timedelta(days=3)
"""Longer than a weekend (chosen); a request that is past due takes no answer earlier."""

_LABEL = "answer link"
_NO_CONTENT = b""

NO_LINK = "There is no such link. Open the inbox to see what waits for you."
EXPIRED = "This link has expired. Open the inbox to answer."
USED = "This link was used before, and works once. Open the inbox to see the request."
VOID = (
    "This link is void: the request was assigned again, or another person works on it. Open the "
    "inbox to see what waits for you."
)


@dataclass(frozen=True, slots=True)
class AnswerLink:
    """What a link allows: one answer of `user_id` to `request_id`.

    All links of one message, which may be sent several times, have the same `message_id` and are
    used up together. `assignments` is the request's count when the link was made.
    """

    request_id: UUID
    user_id: UUID
    message_id: UUID
    assignments: int
    expires_at: float

    @classmethod
    def make(cls, row: InputRequestRow, user_id: UUID, message_id: UUID) -> Self:
        """A link to an open request, valid from now on."""
        expires_at = (datetime.now(UTC) + LIFETIME).timestamp()
        return cls(row.id, user_id, message_id, row.assignments, expires_at)

    def seal(self, sealer: SecretSealer) -> str:
        """The link as text for a URL.

        Raises:
            SecretsNotConfiguredError: the operator has set no key.
        """
        return to_url_text(sealer.seal(json.dumps(asdict(self), default=str), label=_LABEL))

    @classmethod
    def open(cls, sealer: SecretSealer, text: str) -> Self:
        """Read a link.

        Raises:
            NotFoundError: we did not make it.
            ConflictError: it has expired.
        """
        try:
            given: Mapping[str, Any] = json.loads(sealer.open(from_url_text(text), label=_LABEL))
        except (SecretsNotConfiguredError, ValueError) as error:
            raise NotFoundError(NO_LINK) from error
        ids = {name: UUID(given[name]) for name in ("request_id", "user_id", "message_id")}
        link = cls(**ids, assignments=given["assignments"], expires_at=given["expires_at"])
        if link.expires_at <= datetime.now(UTC).timestamp():
            raise ConflictError(EXPIRED)
        return link


async def make_link(
    session: AsyncSession, row: InputRequestRow, message_id: UUID, address: str
) -> AnswerLink | None:
    """A link for the one user who has this address and may answer the open request.

    None if there is no such user, or several.
    """
    found = [
        user
        for user in await users.list_by_address(session, address)
        if await _may_answer(session, row, user)
    ]
    return AnswerLink.make(row, found[0].id, message_id) if len(found) == 1 else None


async def _may_answer(session: AsyncSession, row: InputRequestRow, user: UserRow) -> bool:
    caller = await make_person(session, user, Actor(user.id))
    return row.user_id == user.id or row.assignee in caller.assignees


async def make_person(session: AsyncSession, user: UserRow, actor: Actor) -> Caller:
    """A user as a caller with their groups, without the role admin."""
    names = await groups.list_names(session, user)
    return Caller(user_id=user.id, subject=user.subject, actor=actor, groups=frozenset(names))


async def find_linked(
    session: AsyncSession, link: AnswerLink, actor: Actor
) -> tuple[Caller, InputRequestRow]:
    """The user of a link, and the request that it opens.

    A request that is not open any more is returned as well: its page says what happened.

    Raises:
        ConflictError: the link is used or void.
        NotFoundError: the request or the user does not exist any more.
    """
    user = await users.find(session, link.user_id)
    row = await input_requests.find(session, link.request_id)
    if user is None or user.disabled_at is not None or row is None:
        raise NotFoundError(NO_LINK)
    caller = await make_person(session, user, actor)
    if await idempotency.is_stored(session, _key(link)):
        raise ConflictError(USED)
    _require_valid(caller, link, row)
    return caller, row


def _require_valid(caller: Caller, link: AnswerLink, row: InputRequestRow) -> None:
    """Refuse a link to a request that is not the user's any more.

    Raises:
        ConflictError: it is void.
    """
    is_assigned_again = row.assignments != link.assignments
    if is_assigned_again or row.claimed_by not in (None, caller.subject):
        raise ConflictError(VOID)
    require_answerable(caller, row)


async def answer_by_link(work: UnitOfWork, link: AnswerLink, body: AnswerBody) -> InputRequestRow:
    """Answer the request of a link, which is used up by it (`answers.answer`).

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        ConflictError: the link is used or void.
        InvalidInputError: the answer would have effects beyond this request.
    """
    if body.remember in STORED or body.undo_seconds:
        hint = "A link answers once and at once; leave this out, or sign in."
        name = "remember" if body.remember in STORED else "undo_seconds"
        problem = FieldProblem(("body", name), hint)
        raise InvalidInputError("The answer does not fit the link; see errors.", [problem])
    row = await answers.answer(work, link.request_id, body)
    # The row is locked now, so a second use of the link waits for the first one.
    if await idempotency.claim(work.session, _key(link)) is not None:
        raise AlreadyAnsweredError(USED)
    _require_valid(work.caller, link, row)
    ends_at = datetime.fromtimestamp(link.expires_at, UTC)
    await idempotency.store(work.session, _key(link), 200, {}, expires_at=ends_at)
    after = {"message_id": str(link.message_id)}
    entity = ("input_request", row.id)
    await work.record_audit("input_request.use_link", entity, after=after, owner_id=row.user_id)
    return row


def _key(link: AnswerLink) -> idempotency.Key:
    """Used links are kept like idempotency keys, until they would have expired."""
    return idempotency.Key(link.user_id, "answer-link", str(link.message_id), _NO_CONTENT)
