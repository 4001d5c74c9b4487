"""Agents: the built-in ones and those of users."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from agent_library.files import split_front_matter
from api import views
from api.agents.schemas import AgentCreate, AgentImport, AgentImported, AgentRead, AgentUpdate, Slug
from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from domain import agent_files, permissions
from domain.agents import BUILT_IN_SLUGS
from domain.errors import (
    ConflictError,
    DuplicateNameError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
)
from persistence.definitions import agents
from persistence.ledger import audit
from persistence.tables.agents import AgentRow
from services.definitions.merging import merged, validated

router = APIRouter(prefix="/agents", tags=["agents"])

_COLUMNS = tuple(field for field in AgentCreate.model_fields if field != "agent_id")
_TOLD = ("name", "model", "executor", "allowed_tools")
"""Fields in the audit log; the system prompt is content and is not logged."""


class AgentQuery(ListQuery):
    """Filters for agents."""

    is_builtin: bool | None = None


@router.post("", status_code=201, responses=created(AgentRead))
async def create_agent(
    call: Called,
    body: Annotated[AgentCreate, Depends(JsonBody(AgentCreate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create an agent."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        read = views.agent(await _created(session, call, body))
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await run_once(call, create, dry_run=dry_run)).response


@router.post(
    "/import",
    status_code=201,
    responses={
        200: {"model": AgentImported, "description": "The changed agent, or a dry run."},
        201: {"model": AgentImported},
    },
)
async def import_agent(
    call: Called,
    body: Annotated[AgentImport, Depends(JsonBody(AgentImport))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Create an agent from a Markdown file with front matter, the format of coding agents.

    Names of tools and models (`Read`, `Bash(git:*)`, `sonnet`) are converted. `ignored` lists
    fields that are not supported.
    """
    found = agent_files.read(*split_front_matter(body.markdown))
    wanted = validated(AgentCreate, found.body, "The file's agent")

    async def make(session: AsyncSession) -> tuple[Response, None]:
        row = await agents.find_own(session, call.principal.user_id, wanted.agent_id, lock=True)
        if row is None or not body.replace:
            status, row = 201, await _created(session, call, wanted)
        else:
            status = 200
            await _change(session, call, row, wanted)
        read = AgentImported(**dict(views.agent(row)), ignored=list(found.ignored))
        return answer(read, status, {"Location": read.links["self"]}), None

    return (await run_once(call, make, dry_run=dry_run)).response


@router.get("", responses={200: {"model": Listing[AgentRead]}})
async def list_agents(call: Called, query: Annotated[AgentQuery, Query()]) -> Response:
    """List your agents, newest first, followed by the built-in agents."""
    async with call.gateway.database.reading() as session:
        page = await agents.page(
            session, call.principal.user_id, is_builtin=query.is_builtin, window=query.window()
        )
    return answer(listing(call.request, query, page, [views.agent(row) for row in page.rows]))


@router.get("/{agent_id}", responses={200: {"model": AgentRead}})
async def get_agent(call: Called, agent_id: Slug) -> Response:
    """Get an agent by its `agent_id`."""
    row = agents.find_built_in_row(agent_id)
    if row is None:
        async with call.gateway.database.reading() as session:
            row = await _own(session, call, agent_id)
    return single(call.request, views.agent(row))


@router.patch("/{agent_id}", responses={200: {"model": AgentRead}})
async def update_agent(
    call: Called,
    agent_id: Slug,
    update: Annotated[AgentUpdate, Depends(JsonBody(AgentUpdate))],
    *,
    dry_run: DryRun = False,
) -> Response:
    """Change one of your agents. Executions in flight keep their definition."""
    _refuse_built_in(agent_id)
    async with call.gateway.database.transaction(keep=not dry_run) as session:
        row = await _own(session, call, agent_id, lock=True)
        require_match(call.request, views.agent(row))
        current = {"agent_id": row.slug, **{f: getattr(row, f) for f in _COLUMNS}}
        wanted = merged(AgentCreate, current, update, what="agent")
        await _change(session, call, row, wanted)
        read = views.agent(row)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{agent_id}", status_code=204)
async def delete_agent(call: Called, agent_id: Slug) -> Response:
    """Delete one of your agents. Tasks that use it cannot be executed until you change them."""
    _refuse_built_in(agent_id)
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, agent_id, lock=True)
        require_match(call.request, views.agent(row))
        await agents.delete(session, row)
        entity = ("agent", row.id)
        await audit.record(session, call.actor, "agent.delete", entity, before=_told(row))
    return Response(status_code=204)


async def _own(session: AsyncSession, call: Call, slug: str, *, lock: bool = False) -> AgentRow:
    row = await agents.find_own(session, call.principal.user_id, slug, lock=lock)
    if row is None:
        raise NotFoundError(f"Agent {slug!r} does not exist.")
    return row


async def _created(session: AsyncSession, call: Call, body: AgentCreate) -> AgentRow:
    _check(body)
    if body.agent_id in BUILT_IN_SLUGS:
        raise DuplicateNameError(f"{body.agent_id!r} is a built-in agent; choose another agent_id.")
    row = AgentRow(user_id=call.principal.user_id, slug=body.agent_id, **_values(body))
    await agents.create(session, row)
    await audit.record(session, call.actor, "agent.create", ("agent", row.id), after=_told(row))
    return row


async def _change(session: AsyncSession, call: Call, row: AgentRow, body: AgentCreate) -> None:
    _check(body)
    before = _told(row)
    for column, value in _values(body).items():
        setattr(row, column, value)
    row.updated_at = datetime.now(UTC)
    await session.flush()
    entity = ("agent", row.id)
    await audit.record(session, call.actor, "agent.update", entity, before=before, after=_told(row))


def _check(body: AgentCreate) -> None:
    found = permissions.problems(body.allowed_tools)
    problems = [FieldProblem(("body", "allowed_tools", *p.loc), p.msg, p.type) for p in found]
    if problems:
        raise InvalidInputError("The agent is invalid; see errors.", problems)


def _refuse_built_in(slug: str) -> None:
    if slug in BUILT_IN_SLUGS:
        raise ConflictError(
            f"{slug!r} is a built-in agent and cannot be changed; create an agent with another "
            "agent_id."
        )


def _values(body: AgentCreate) -> dict[str, Any]:
    values = {column: getattr(body, column) for column in _COLUMNS}
    return {c: list(v) if isinstance(v, tuple) else v for c, v in values.items()}


def _told(row: AgentRow) -> dict[str, Any]:
    return {"agent_id": row.slug, **{column: getattr(row, column) for column in _TOLD}}
