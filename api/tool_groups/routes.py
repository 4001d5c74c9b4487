"""Tool groups: named lists of tool rules."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.tool_groups.schemas import ToolGroupCreate, ToolGroupRead, ToolGroupUpdate
from domain.errors import InvalidInputError, NotFoundError
from persistence.definitions import named_resources
from persistence.ledger import audit
from persistence.tables.tool_groups import ToolGroupRow
from services.definitions.merging import merged
from services.definitions.task_rules import rule_problems

router = APIRouter(prefix="/tool-groups", tags=["tool groups"])


@router.post("", status_code=201, responses=created(ToolGroupRead))
async def create_tool_group(
    call: Called,
    body: Annotated[ToolGroupCreate, Depends(JsonBody(ToolGroupCreate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create a tool group."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        _check(body)
        row = ToolGroupRow(user_id=call.principal.user_id, **_values(body))
        await named_resources.save(session, row)
        entity = ("tool_group", row.id)
        await audit.record(session, call.actor, "tool_group.create", entity, after=_values(body))
        read = views.tool_group(row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await run_once(call, create, dry_run=dry_run)).response


@router.get("", responses={200: {"model": Listing[ToolGroupRead]}})
async def list_tool_groups(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """List your tool groups, newest first."""
    async with call.gateway.database.reading() as session:
        page = await named_resources.page(
            session, ToolGroupRow, call.principal.user_id, query.window()
        )
    return answer(listing(call.request, query, page, [views.tool_group(row) for row in page.rows]))


@router.get("/{group_id}", responses={200: {"model": ToolGroupRead}})
async def get_tool_group(call: Called, group_id: UUID) -> Response:
    """Get a tool group."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, group_id)
    return single(call.request, views.tool_group(row))


@router.patch("/{group_id}", responses={200: {"model": ToolGroupRead}})
async def update_tool_group(
    call: Called,
    group_id: UUID,
    update: Annotated[ToolGroupUpdate, Depends(JsonBody(ToolGroupUpdate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Change a group. Tasks keep their rules until you store their tool lists again."""
    async with call.gateway.database.transaction(keep=not dry_run) as session:
        row = await _own(session, call, group_id, lock=True)
        require_match(call.request, views.tool_group(row))
        before = {field: getattr(row, field) for field in ToolGroupCreate.model_fields}
        body = merged(ToolGroupCreate, before, update, what="tool group")
        _check(body)
        for column, value in _values(body).items():
            setattr(row, column, value)
        row.updated_at = datetime.now(UTC)
        await named_resources.save(session, row)
        await audit.record(
            session,
            call.actor,
            "tool_group.update",
            ("tool_group", group_id),
            before=before,
            after=_values(body),
            owner_id=row.user_id,
        )
        read = views.tool_group(row)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{group_id}", status_code=204)
async def delete_tool_group(call: Called, group_id: UUID) -> Response:
    """Delete a group. Tasks that use it keep its rules."""
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, group_id, lock=True)
        require_match(call.request, views.tool_group(row))
        await named_resources.delete(session, row)
        entity, owner, before = ("tool_group", group_id), row.user_id, {"name": row.name}
        action = "tool_group.delete"
        await audit.record(session, call.actor, action, entity, before=before, owner_id=owner)
    return Response(status_code=204)


async def _own(
    session: AsyncSession, call: Call, group_id: UUID, *, lock: bool = False
) -> ToolGroupRow:
    row = await named_resources.find(session, ToolGroupRow, group_id, lock=lock)
    if row is None:
        raise NotFoundError(f"Tool group {group_id} does not exist.")
    call.require_own(row.user_id, "tool group")
    return row


def _check(body: ToolGroupCreate) -> None:
    if problems := list(rule_problems("tools", body.tools)):
        raise InvalidInputError("The tool group is invalid; see errors.", problems)


def _values(body: ToolGroupCreate) -> dict[str, Any]:
    return body.model_dump(mode="json")
