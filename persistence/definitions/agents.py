"""Agents: those of a user, and the built-in ones that every user has."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent_library.built_in import load_built_in_agents
from domain.agents.agent import BUILT_IN_SLUGS, Agent
from domain.memory.entries import MemoryAccess
from persistence.db.paging import COUNTED, Page, Window, newest
from persistence.definitions.named_resources import flush_unique
from persistence.tables.columns import read_as
from persistence.tables.definitions import AgentRow

_LISTS = ("allowed_tools", "capabilities", "tags")


async def find(session: AsyncSession, user_id: UUID, slug: str) -> Agent | None:
    """The agent with this slug: a built-in one, or one of the user."""
    if slug in BUILT_IN_SLUGS:
        return load_built_in_agents()[slug]
    row = await find_own(session, user_id, slug)
    return None if row is None else agent_of(row)


async def find_all(
    session: AsyncSession, user_id: UUID, slugs: Collection[str]
) -> Mapping[str, Agent]:
    """As `find`, for several slugs: those that exist."""
    own = await session.scalars(
        select(AgentRow).where(AgentRow.user_id == user_id, AgentRow.slug.in_(slugs))
    )
    built_in = load_built_in_agents()
    found = {slug: built_in[slug] for slug in slugs if slug in built_in}
    return {**{row.slug: agent_of(row) for row in own}, **found}


async def list_conversational(
    session: AsyncSession, user_id: UUID, *, limit: int
) -> Sequence[Agent]:
    """The agents that Claude runs: the user's own, the newest first, and the built-in ones."""
    own = await session.scalars(
        select(AgentRow)
        .where(AgentRow.user_id == user_id, AgentRow.executor == "claude")
        .order_by(AgentRow.id.desc())
        .limit(limit)
    )
    return [*map(agent_of, own), *load_built_in_agents().values()]


async def list_known(session: AsyncSession, user_id: UUID) -> Sequence[Agent]:
    """Every agent that the user may use: their own, and the built-in ones."""
    own = await session.scalars(select(AgentRow).where(AgentRow.user_id == user_id))
    return [*map(agent_of, own), *load_built_in_agents().values()]


async def list_slugs(session: AsyncSession, user_id: UUID, *, limit: int) -> Sequence[str]:
    """Every slug that the user may use, for suggestions; at most `limit` of their own."""
    own = await session.scalars(
        select(AgentRow.slug).where(AgentRow.user_id == user_id).limit(limit)
    )
    return [*BUILT_IN_SLUGS, *own]


async def find_own(
    session: AsyncSession, user_id: UUID, slug: str, *, lock: bool = False
) -> AgentRow | None:
    """The user's own agent; with `lock` no other transaction changes it meanwhile."""
    query = select(AgentRow).where(AgentRow.user_id == user_id, AgentRow.slug == slug)
    return await session.scalar(query.with_for_update() if lock else query)


async def create(session: AsyncSession, row: AgentRow) -> None:
    """Store an agent.

    Raises:
        DuplicateNameError: the user has an agent with this slug.
    """
    session.add(row)
    taken = f"You already have an agent {row.slug!r}; change it, or choose another agent_id."
    await flush_unique(session, "uq_agents_user_id_slug", taken)


async def page(
    session: AsyncSession, user_id: UUID, *, is_builtin: bool | None, window: Window
) -> Page[AgentRow]:
    """The user's agents, newest first, then the built-in ones."""
    built_in: list[AgentRow] = []
    if is_builtin is not False:
        built_in = [row for row in _list_built_in_rows() if window.contains(row.id)]
    if is_builtin:
        return _with_built_in(Page([], 0, is_capped=False, has_more=False), built_in, window)
    own = await newest(session, AgentRow, AgentRow.id, [AgentRow.user_id == user_id], window)
    return _with_built_in(own, built_in, window)


def agent_of(row: Any) -> Agent:
    """The agent with the columns of a row."""
    lists = {column: tuple(getattr(row, column)) for column in _LISTS}
    network = None if row.network is None else tuple(row.network["allow"])
    memory = None if row.memory is None else MemoryAccess.parse(row.memory["namespaces"])
    return read_as(Agent, row, **lists, network=network, memory=memory)


def find_built_in_row(slug: str) -> AgentRow | None:
    """A built-in agent as a row that is not stored."""
    return next((row for row in _list_built_in_rows() if row.slug == slug), None)


def _make_built_in_row(number: int, agent: Agent) -> AgentRow:
    """A row that is older than every stored one, so that a list can contain both."""
    values = asdict(agent)
    lists = {column: list(values[column]) for column in _LISTS}
    return AgentRow(id=UUID(int=number), **{**values, **lists})


@cache
def _list_built_in_rows() -> Sequence[AgentRow]:
    agents = load_built_in_agents().values()
    numbers = range(len(agents), 0, -1)
    return [_make_built_in_row(n, agent) for n, agent in zip(numbers, agents, strict=True)]


def _with_built_in(
    own: Page[AgentRow], built_in: Sequence[AgentRow], window: Window
) -> Page[AgentRow]:
    """The page, filled up with built-in agents after the user's last one."""
    total = own.total + len(built_in)
    rest: Sequence[AgentRow] = []
    if not own.has_more:
        before = window.before
        rest = [row for row in built_in if before is None or row.id < before]
        rest = rest[max(0, window.offset - own.total) :]
    room = window.limit - len(own.rows)
    return Page(
        rows=[*own.rows, *rest[:room]],
        total=min(total, COUNTED),
        is_capped=own.is_capped or total > COUNTED,
        has_more=own.has_more or len(rest) > room,
    )
