"""Pages of agents: their list, one agent, and the form that creates, copies and changes it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from markupsafe import Markup

from api.agents.schemas import render_agent
from api.web import pages
from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages, ResourceStore
from api.web.page_route import PageRoute
from api.web.visits import Visiting
from domain.agents.agent import BUILT_IN_SLUGS
from persistence.tables.definitions import AgentRow
from services.definitions.agents import AGENTS
from services.definitions.inputs import AgentCreate, AgentUpdate, Slug

router = APIRouter(include_in_schema=False, route_class=PageRoute)


def _facts(row: AgentRow) -> list[str]:
    who = "Claude" if row.executor == "claude" else "outside worker"
    marks = ["built in"] if row.slug in BUILT_IN_SLUGS else []
    return [row.slug, *marks, who, *([row.model] if row.model else [])]


def _copy(row: AgentRow) -> Mapping[str, Any]:
    return {**AGENTS.body_fields(row), "agent_id": f"{row.slug}-copy", "name": f"{row.name} (copy)"}


AGENT_PAGES = DefinitionPages(
    path="/agents",
    texts={
        "title": "Agents",
        "noun": "agent",
        "lead": Markup(
            "Specialists that tasks, plans and conversations name. Agents of other programs "
            "are imported with <code>perdure agents import FILE</code>."
        ),
        "delete": "Tasks that name it can't be changed until they name another one.",
    },
    store=ResourceStore(AGENTS, AgentCreate, AgentUpdate),
    model=AgentCreate,
    sections=(
        Section(
            "",
            (
                Field("agent_id", "Id", "Such as reviewer; tasks name it.", is_short=True),
                Field("name", is_short=True),
                Field("description", hint="What it is for; others choose it by this."),
                Field("system_prompt"),
                Field("allowed_tools", "Tools", "Of its ad-hoc work; tasks have their own."),
                Field("model", hint="Empty: the default of the server.", is_short=True),
                Field("executor", "Work is done by", "external: a worker or a person claims it."),
            ),
        ),
        Section(
            "Network, memory and tags",
            (
                Field(
                    "network/allow",
                    "Hosts",
                    "Such as api.example.com, *.example.org:443. Never filled in: none for ad-hoc "
                    "work; a subtask has those of its parent. Emptied: none for subtasks, too.",
                    is_limit=True,
                ),
                Field(
                    "memory/namespaces",
                    "Memory",
                    "Write includes reading. Never filled in: none for ad-hoc work; a subtask has "
                    "those of its parent. Emptied: none for subtasks, too.",
                    is_limit=True,
                ),
                Field("capabilities"),
                Field("tags"),
            ),
            is_folded=True,
        ),
    ),
    read_row=AGENTS.body_fields,
    copied=_copy,
    facts=_facts,
    list_rows=AGENTS.page,
    key="agent_id",
    key_kind=Slug,
    key_of=lambda row: row.slug,
    has_own_page=True,
)

AGENT_PAGES.add_to(router)


@router.get("/agents/{agent_id}")
async def show_agent(visit: Visiting, agent_id: Slug) -> Response:
    """An agent."""
    async with visit.call.gateway.database.reading() as session:
        row = await AGENTS.find(session, visit.call.caller, agent_id)
    is_own = row.slug not in BUILT_IN_SLUGS
    agent = render_agent(visit.call, row)
    return pages.render("agent.html.j2", **visit.layout, agent=agent, is_own=is_own)
