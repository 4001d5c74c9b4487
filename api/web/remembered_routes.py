"""The page of remembered decisions."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.input_requests.remembered_schemas import RememberedQuery, render_rule
from api.web import pages
from api.web.listings import make_list, read_query
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Visiting
from persistence.definitions import tasks
from persistence.executions import queries
from persistence.identity import users
from persistence.tables.people import RememberedDecisionRow
from services.executions.remembering import REMEMBERED_DECISIONS, RememberedFilter

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/remembered-decisions")
async def list_decisions(request: Request, visit: Visiting) -> Response:
    """The remembered decisions that the viewer may revoke, newest first."""
    query = read_query(request, RememberedQuery)
    narrowed = RememberedFilter.model_validate(query.filters())
    async with visit.call.gateway.database.reading() as session:
        caller, window = visit.call.caller, query.window()
        page = await REMEMBERED_DECISIONS.page(session, caller, narrowed, window)
        titles = await _find_titles(session, page.rows)
        authors = await users.find_subjects(session, {row.author_id for row in page.rows})
    items = [render_rule(visit.call, row) for row in page.rows]
    shown: dict[str, Any] = {"list": make_list(visit, query, page, items)}
    shown |= {"titles": titles, "authors": authors}
    shown["is_filtered"] = any(query.filters().values())
    return pages.render("remembered_decisions.html.j2", **visit.layout, **shown)


@router.post("/remembered-decisions/{rule_id}/revoke", dependencies=[FORM_IS_OWN])
async def revoke_decision(visit: Visiting, rule_id: UUID) -> Response:
    """Revoke a remembered decision."""
    await visit.perform(lambda work: REMEMBERED_DECISIONS.delete(work, rule_id, lambda _: None))
    return pages.redirect("/remembered-decisions")


async def _find_titles(
    session: AsyncSession, rows: Sequence[RememberedDecisionRow]
) -> Mapping[UUID, str]:
    """The names of the tasks and the titles of the executions that decisions apply to."""
    ids = [row.execution_id for row in rows if row.execution_id]
    titles = await queries.find_titles(session, ids)
    names = await tasks.find_names(session, [row.task_id for row in rows if row.task_id])
    return {**titles, **names}
