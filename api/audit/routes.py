"""The audit log and the verification of its hash chain."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.audit.schemas import (
    MOST_VERIFIED,
    AuditQuery,
    AuditRead,
    VerificationRead,
    parse_head,
    render_entry,
    render_verification,
)
from api.http.paging import Listing
from api.http.rendering import render_items
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.links import BASE
from domain.errors import NotFoundError, PermissionDeniedError
from persistence.ledger import audit, audit_chain
from persistence.ledger.audit import AuditFilter

router = APIRouter(prefix=f"{BASE}/audit-logs", tags=["audit"])


LAST_SEQ = 2**63 - 1
"""The largest seal number."""


@router.get("", responses={200: {"model": Listing[AuditRead]}})
async def list_audit_logs(call: Called, query: Annotated[AuditQuery, Query()]) -> Response:
    """List your actions and the actions on your data, newest first. Admins see all entries.

    `from` is inclusive, `to` is exclusive.
    """
    whose = None if call.principal.is_admin else call.principal.user_id
    async with call.gateway.database.reading() as session:
        page = await audit.page(session, whose, AuditFilter(**query.filters()), query.window())
        entries = await audit.load_entries(session, page.rows)
    return render_items(call, query, page, [render_entry(entry) for entry in entries])


@router.get("/verify", responses={200: {"model": VerificationRead}})
async def verify_audit_logs(
    call: Called,
    from_seq: Annotated[int, Query(ge=1, le=LAST_SEQ)] = 1,
    limit: Annotated[int, Query(ge=1, le=MOST_VERIFIED)] = MOST_VERIFIED,
    expect_head: Annotated[
        str | None, Query(description="A head that you stored earlier: `seq:hash`.", max_length=100)
    ] = None,
) -> Response:
    """Verify the hash chain (admins only); `next_from_seq` is set if there are more seals."""
    if not call.principal.is_admin:
        raise PermissionDeniedError("Verifying the audit log requires the admin role.")
    expected = None if expect_head is None else parse_head(expect_head)
    async with call.gateway.database.reading() as session:
        found = await audit_chain.verify(session, from_seq, limit=limit, expected=expected)
    return answer(render_verification(found))


@router.get("/{audit_id}", responses={200: {"model": AuditRead}})
async def get_audit_log(call: Called, audit_id: UUID) -> Response:
    """Get an audit entry."""
    return single(call.request, render_entry(await _find_readable_entry(call, audit_id)))


async def _find_readable_entry(call: Call, audit_id: UUID) -> audit.AuditEntry:
    async with call.gateway.database.reading() as session:
        row = await audit.find(session, audit_id)
        if row is None:
            raise NotFoundError(f"Audit entry {audit_id} does not exist.")
        if row.actor_id != call.principal.user_id:
            call.caller.require_own(row.owner_id or UUID(int=0), "audit entry", audit_id)
        (entry,) = await audit.load_entries(session, [row])
    return entry
