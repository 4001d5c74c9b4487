"""Pages of what was used and done: usage, and the audit log with its verification."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from api.audit.schemas import MOST_VERIFIED, AuditQuery, render_entry, render_verification
from api.usage.schemas import UsageQuery, render_usage
from api.web import pages
from api.web.listings import make_list, read_query
from api.web.page_route import PageRoute
from api.web.visits import Visiting
from persistence.ledger import audit, audit_chain, usage
from persistence.ledger.audit import AuditFilter

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/usage")
async def show_usage(request: Request, visit: Visiting) -> Response:
    """Cost, tokens and time in a range of days, as a chart and a table."""
    query = read_query(request, UsageQuery)
    filters = query.filter(visit.call.caller, datetime.now(UTC).date())
    async with visit.call.gateway.database.reading() as session:
        found = await usage.sum_usage(session, query.group_by, filters)
    read = render_usage(visit.call, query.group_by, filters, found)
    largest = max((group.cost_usd for group in read.items), default=0)
    return pages.render("usage.html.j2", **visit.layout, usage=read, largest=largest)


@router.get("/audit")
async def list_audit(request: Request, visit: Visiting) -> Response:
    """The audit log, newest first."""
    query = read_query(request, AuditQuery)
    principal = visit.call.principal
    whose = None if principal.is_admin else principal.user_id
    async with visit.call.gateway.database.reading() as session:
        page = await audit.page(session, whose, AuditFilter(**query.filters()), query.window())
        rows = await audit.load_entries(session, page.rows)
    items = [render_entry(row) for row in rows]
    shown = make_list(visit, query, page, items)
    return pages.render("audit.html.j2", **visit.layout, list=shown, query=query)


@router.get("/audit/verification")
async def verify_audit(visit: Visiting, from_seq: int = 1) -> Response:
    """The result of a verification of the hash chain, for admins."""
    visit.call.caller.require_admin()
    async with visit.call.gateway.database.reading() as session:
        found = await audit_chain.verify(session, from_seq, limit=MOST_VERIFIED)
    read = render_verification(found)
    return pages.render("verification.html.j2", **visit.layout, result=read)
