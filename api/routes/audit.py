"""The audit log: who changed what, and whether the chain over it holds."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, ConfigDict, Field

from api import audit_views
from api.calls import Call, Called
from api.pages import Listing, ListQuery, listing
from api.responses import answer, single
from api.schemas.audit import AuditRead, HeadMismatch, VerificationRead
from domain.errors import (
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)
from persistence import audit, audit_chain
from persistence.audit import AuditFilter

router = APIRouter(prefix="/audit-logs", tags=["audit"])

MOST_VERIFIED = 20_000
"""Seals of one request: about a second (measured)."""

LAST_SEQ = 2**63 - 1
"""The largest number a seal can have."""

_HEAD = re.compile(r"(?P<seq>[1-9][0-9]{0,17}):(?P<hash>[0-9a-f]{64})")

Word = Annotated[str, Field(max_length=255)]


class AuditQuery(ListQuery):
    """What the audit log can be narrowed by; `actor` is a user's id or subject."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    entity_type: Word | None = None
    entity_id: UUID | None = None
    action: Word | None = None
    actor: Word | None = None
    since: AwareDatetime | None = Field(default=None, alias="from")
    until: AwareDatetime | None = Field(default=None, alias="to")

    def narrowed(self) -> AuditFilter:
        """The filter behind it."""
        return AuditFilter(
            entity_type=self.entity_type,
            entity_id=self.entity_id,
            action=self.action,
            actor=_id_or_subject(self.actor),
            since=self.since,
            until=self.until,
        )


@router.get("", responses={200: {"model": Listing}})
async def list_audit_logs(call: Called, query: Annotated[AuditQuery, Query()]) -> Response:
    """What I did and what was done to what is mine, newest first; admins see everything.

    `from` is included, `to` is not.
    """
    whose = None if call.principal.is_admin else call.principal.user_id
    async with call.gateway.database.reading() as session:
        page = await audit.page(session, whose, query.narrowed(), query.window())
        told = await audit.told(session, page.rows)
    return answer(listing(call.request, query, page, [audit_views.entry(entry) for entry in told]))


@router.get("/verify", responses={200: {"model": VerificationRead}})
async def verify_audit_logs(
    call: Called,
    from_seq: Annotated[int, Query(ge=1, le=LAST_SEQ)] = 1,
    limit: Annotated[int, Query(ge=1, le=MOST_VERIFIED)] = MOST_VERIFIED,
    expect_head: Annotated[
        str | None, Query(description="A head kept elsewhere: `seq:hash`.", max_length=100)
    ] = None,
) -> Response:
    """Verify the chain, for admins: `next_from_seq` goes on where it is longer than `limit`."""
    if not call.principal.is_admin:
        raise PermissionDeniedError("Only an admin can verify the audit log.")
    expected = _expected(expect_head)
    async with call.gateway.database.reading() as session:
        found = await audit_chain.verify(session, from_seq, limit=limit)
        mismatch = None
        if expected is not None:
            seal = await audit_chain.seal_at(session, expected[0])
            mismatch = _mismatch(expected, None if seal is None else seal.hash)
    return answer(audit_views.verification(call.request, found, mismatch))


@router.get("/{audit_id}", responses={200: {"model": AuditRead}})
async def get_audit_log(call: Called, audit_id: UUID) -> Response:
    """One entry of the audit log."""
    return single(call.request, audit_views.entry(await _readable(call, audit_id)))


async def _readable(call: Call, audit_id: UUID) -> audit.Told:
    async with call.gateway.database.reading() as session:
        row = await audit.find(session, audit_id)
        if row is None:
            raise NotFoundError(f"There is no audit entry {audit_id}.")
        if row.actor_id != call.principal.user_id:
            call.require_own(row.owner_id or UUID(int=0), "audit entry")
        (told,) = await audit.told(session, [row])
    return told


def _id_or_subject(actor: str | None) -> UUID | str | None:
    if actor is None:
        return None
    try:
        return UUID(actor)
    except ValueError:
        return actor


def _expected(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    head = _HEAD.fullmatch(text)
    if head is None:
        problem = FieldProblem(
            ("query", "expect_head"), "Send `seq:hash`, as a verification told its head."
        )
        raise InvalidInputError("The expected head can't be read.", [problem])
    return int(head["seq"]), head["hash"]


def _mismatch(expected: tuple[int, str], found: bytes | None) -> HeadMismatch | None:
    seq, wanted = expected
    if found is not None and found.hex() == wanted:
        return None
    return HeadMismatch(seq=seq, expected_hash=wanted, hash=None if found is None else found.hex())
