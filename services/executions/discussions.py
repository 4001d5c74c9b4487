"""What people do with an input request besides answering it: comment, assign and claim it."""

import re
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from domain.errors import ConflictError
from domain.executions.events import Event
from domain.ids import new_id
from persistence.executions import events, input_requests, queries
from persistence.tables.sessions import InputRequestRow
from services.executions.access import (
    get_answerable_request,
    get_readable_request,
    require_answerable,
)
from services.field_types import Body, Text
from services.identity.groups import missing_group
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

MOST_COMMENTS = 200
"""On one request (chosen: a response with it contains all of them)."""

Subject = Annotated[str, Field(min_length=1, max_length=255)]


class CommentBody(Body):
    """A comment on an input request. The model does not receive it."""

    body: Annotated[Text, Field(min_length=1)]


MOST_MENTIONS = 20
"""In one comment (chosen: more is a group)."""

_MENTION = re.compile(r"(?<![\w@])@((?:group:)?[\w.+-]+(?:@[\w.-]+)?)")
"""`@ann`, `@ann@example.com` or `@group:legal`, not inside a word."""


class AssignBody(Body):
    """The user who is to answer (the `sub` of their token), or `group:` and a group's name.

    Null: only the owner may answer.
    """

    assignee: Subject | None


async def comment(work: UnitOfWork, request_id: UUID, body: CommentBody) -> InputRequestRow:
    """Add a comment to a request, which may be answered already.

    The users and groups that it mentions can read the request and comment on it, but not answer.

    Raises:
        ConflictError: the request has `MOST_COMMENTS` comments.
    """
    row = await get_readable_request(work.session, work.caller, request_id)
    execution = await queries.lock_existing(work.session, row.execution_id)
    row = await input_requests.lock(work.session, request_id)
    await get_readable_request(work.session, work.caller, request_id)
    if len(row.comments) >= MOST_COMMENTS:
        raise ConflictError(f"This request has {MOST_COMMENTS} comments, which is the limit.")
    comment_id = new_id()
    mentions = await find_mentions(work, body.body)
    await input_requests.add_comment(
        work.session,
        row,
        comment_id=comment_id,
        user_id=work.caller.user_id,
        author=work.caller.subject,
        body=body.body,
        mentions=mentions,
    )
    if mentions and execution.completed_at is None:
        data = {"input_request_id": str(row.id), "mentions": mentions}
        await events.append(work.session, execution.id, Event("input.mentioned", data))
    after = {"comment_id": str(comment_id), "execution_id": str(row.execution_id)}
    entity = ("input_request", request_id)
    await work.record_audit("input_request.comment", entity, after=after, owner_id=row.user_id)
    return row


async def find_mentions(work: UnitOfWork, body: str) -> list[str]:
    """The users and groups that a text mentions, each once; other words after `@` are text."""
    names = dict.fromkeys(name.rstrip(".") for name in _MENTION.findall(body))
    return list(await input_requests.find_mentionable(work.session, [*names][:MOST_MENTIONS]))


async def claim(work: UnitOfWork, request_id: UUID) -> InputRequestRow:
    """Record that the caller works on an open request. Claiming it again changes nothing.

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        ConflictError: another user works on it.
    """
    row = await _lock_open(work, request_id)
    subject = work.caller.subject
    if row.claimed_by not in (None, subject):
        raise ConflictError(f"{row.claimed_by} works on this request since {row.claimed_at:%F %R}.")
    await _set_claim(work, row, subject)
    return row


async def release(work: UnitOfWork, request_id: UUID) -> InputRequestRow:
    """Take the caller's claim of an open request back; its owner can take back any.

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        ConflictError: another user works on it.
    """
    row = await _lock_open(work, request_id)
    is_own = row.claimed_by in (None, work.caller.subject) or work.caller.owns(row.user_id)
    if not is_own:
        raise ConflictError(f"{row.claimed_by} works on this request; ask them to release it.")
    await _set_claim(work, row, None)
    return row


async def _set_claim(work: UnitOfWork, row: InputRequestRow, subject: str | None) -> None:
    before = {"claimed_by": row.claimed_by}
    row.claimed_by = subject
    row.claimed_at = None if subject is None else datetime.now(UTC)
    await work.session.flush()
    await work.record_audit(
        "input_request.release" if subject is None else "input_request.claim",
        ("input_request", row.id),
        before=before,
        after={"claimed_by": subject},
        owner_id=row.user_id,
    )


async def _lock_open(work: UnitOfWork, request_id: UUID) -> InputRequestRow:
    """Lock an open request that the caller may answer, after its execution."""
    await get_answerable_request(work.session, work.caller, request_id)
    _, row = await input_requests.lock_open(work.session, request_id)
    require_answerable(work.caller, row)
    return row


async def assign(work: UnitOfWork, request_id: UUID, body: AssignBody) -> InputRequestRow:
    """Assign an open request to a user or a group; its owner can answer it, too.

    A caller who is only the present assignee delegates it, and can then no longer read it. A claim
    ends.

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        InvalidInputError: the group does not exist.
    """
    row = await _lock_open(work, request_id)
    if (hint := await missing_group(work.session, body.assignee)) is not None:
        raise refuse_field("The assignee is invalid; see errors.", "assignee", hint)
    before = {"assignee": row.assignee}
    row.assignee, row.claimed_by, row.claimed_at = body.assignee, None, None
    row.assignments += 1
    await work.session.flush()
    await work.record_audit(
        "input_request.assign",
        ("input_request", request_id),
        before=before,
        after={"assignee": row.assignee},
        owner_id=row.user_id,
    )
    return row
