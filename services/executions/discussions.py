"""What people do with an input request besides answering it: comment on it, and assign it."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from domain.errors import ConflictError
from domain.ids import new_id
from persistence.executions import input_requests, queries
from persistence.tables.sessions import InputRequestRow
from services.executions.access import answerable_request, require_answerable
from services.field_types import Body, Text
from services.unit_of_work import UnitOfWork

MOST_COMMENTS = 200
"""On one request (chosen: a response with it contains all of them)."""

Subject = Annotated[str, Field(min_length=1, max_length=255)]


class CommentBody(Body):
    """A comment on an input request. The model does not receive it."""

    body: Annotated[Text, Field(min_length=1)]


class AssignBody(Body):
    """The user who is to answer (the `sub` of their token); null: only the owner may answer."""

    assignee: Subject | None


async def comment(work: UnitOfWork, request_id: UUID, body: CommentBody) -> InputRequestRow:
    """Add a comment to a request, which may be answered already.

    Raises:
        ConflictError: the request has `MOST_COMMENTS` comments.
    """
    await answerable_request(work.session, work.caller, request_id)
    row = await input_requests.lock(work.session, request_id)
    require_answerable(work.caller, row)
    if len(row.comments) >= MOST_COMMENTS:
        raise ConflictError(f"This request has {MOST_COMMENTS} comments, which is the limit.")
    comment_id = new_id()
    await input_requests.add_comment(
        work.session,
        row,
        comment_id=comment_id,
        user_id=work.caller.user_id,
        author=work.caller.subject,
        body=body.body,
    )
    after = {"comment_id": str(comment_id), "execution_id": str(row.execution_id)}
    entity = ("input_request", request_id)
    await work.record_audit("input_request.comment", entity, after=after, owner_id=row.user_id)
    return row


async def assign(work: UnitOfWork, request_id: UUID, body: AssignBody) -> InputRequestRow:
    """Assign an open request to a user; its owner can answer it, too.

    A caller who is only the present assignee delegates it, and can then no longer read it.

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
    """
    row = await answerable_request(work.session, work.caller, request_id)
    execution = await queries.lock_existing(work.session, row.execution_id)
    row = await input_requests.lock_open(work.session, execution, request_id)
    require_answerable(work.caller, row)
    before = {"assignee": row.assignee}
    row.assignee = body.assignee
    await work.session.flush()
    await work.record_audit(
        "input_request.assign",
        ("input_request", request_id),
        before=before,
        after={"assignee": row.assignee},
        owner_id=row.user_id,
    )
    return row
