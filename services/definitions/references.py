"""What a definition names beside itself: an agent, tool groups, MCP servers of its owner's."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain.agents import BUILT_IN_SLUGS, Agent
from domain.errors import FieldProblem
from domain.tool_groups import GROUP, expand, group_named, groups_in
from persistence.definitions import agents, mcp_servers, tool_groups

TOOL_LISTS = ("allowed_tools", "ask_tools", "disallowed_tools")

COMPARED = 1000
"""Slugs of a user's own that a misspelt one is compared with (chosen)."""

D = TypeVar("D", bound=TaskDefinition)


async def agent_of(
    session: AsyncSession, owner_id: UUID, definition: TaskDefinition
) -> tuple[Agent | None, list[FieldProblem]]:
    """The agent that a definition of this user names, and what keeps it from working."""
    if definition.agent_id is None:
        return None, []
    agent = await agents.find(session, owner_id, definition.agent_id)
    if agent is None:
        return None, [await _no_agent(session, owner_id, definition.agent_id)]
    if agent.executor != "claude":
        text = f"The agent {agent.slug!r} works outside of Perdure, and there is no queue yet."
        return agent, [FieldProblem(("body", "agent_id"), text)]
    return agent, []


async def expanded(
    session: AsyncSession, owner_id: UUID, definition: D
) -> tuple[D, list[FieldProblem]]:
    """The definition with the rules of its groups in place of their names, and what is wrong."""
    lists = {field: getattr(definition, field) for field in TOOL_LISTS}
    named = groups_in(rule for rules in lists.values() for rule in rules)
    if not named:
        return definition, []
    groups = await tool_groups.of_names(session, owner_id, named)
    problems = [
        problem for field, rules in lists.items() for problem in _no_groups(field, rules, groups)
    ]
    return definition.model_copy(
        update={field: expand(rules, groups) for field, rules in lists.items()}
    ), problems


def spelled(definition: TaskDefinition) -> dict[str, list[str]]:
    """The definition's lists that name groups, as they were sent."""
    lists = {field: list(getattr(definition, field)) for field in TOOL_LISTS}
    return {field: rules for field, rules in lists.items() if groups_in(rules)}


async def server_problems(
    session: AsyncSession, owner_id: UUID, definition: TaskDefinition, *, is_public: bool
) -> list[FieldProblem]:
    """What is wrong with the registered MCP servers that a definition names.

    A public one may name only servers that everybody has.
    """
    named = {
        key: server["ref"]
        for key, server in definition.sdk_options.mcp_servers.items()
        if isinstance(server, dict) and isinstance(server.get("ref"), str)
    }
    if not named:
        return []
    known = await mcp_servers.known(session, owner_id, named.values(), only_public=is_public)
    hint = "A public task can name only public ones." if is_public else "See /mcp-servers."
    return [
        FieldProblem(
            ("body", "sdk_options", "mcp_servers", key, "ref"),
            f"There is no MCP server {name!r:.120}. {hint}",
            "unknown_mcp_server",
        )
        for key, name in named.items()
        if name not in known
    ]


async def _no_agent(session: AsyncSession, owner_id: UUID, slug: str) -> FieldProblem:
    known = await agents.slugs(session, owner_id, limit=COMPARED)
    alike = difflib.get_close_matches(slug, known, 1)
    hint = f"Did you mean {alike[0]!r}?" if alike else f"Built in are: {', '.join(BUILT_IN_SLUGS)}."
    text = f"There is no agent {slug!r:.120}. {hint}"
    return FieldProblem(("body", "agent_id"), text, "unknown_agent")


def _no_groups(field: str, rules: Sequence[str], groups: Collection[str]) -> Iterator[FieldProblem]:
    for index, rule in enumerate(rules):
        name = group_named(rule)
        if name is not None and name not in groups:
            text = f"You have no tool group {name!r:.120}; make one, or leave {GROUP}… out."
            yield FieldProblem(("body", field, index), text, "unknown_tool_group")
