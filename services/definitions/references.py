"""References of a definition to the owner's agents, tool groups and MCP servers."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.agents.agent import BUILT_IN_SLUGS, Agent
from domain.errors import FieldProblem
from domain.tools.groups import GROUP, expand, group_named, groups_in
from persistence.definitions import agents, named_resources

TOOL_LISTS = ("allowed_tools", "ask_tools", "disallowed_tools")

COMPARED = 1000
"""Maximum number of the user's agents to compare with a misspelt id (chosen)."""

D = TypeVar("D", bound=TaskDefinition)


async def find_agent(
    session: AsyncSession, owner_id: UUID, definition: TaskDefinition
) -> tuple[Agent | None, list[FieldProblem]]:
    """Return the agent of a definition, and problems with it."""
    if definition.agent_id is None:
        return None, []
    agent = await agents.find(session, owner_id, definition.agent_id)
    if agent is None:
        return None, [await _agent_problem(session, owner_id, definition.agent_id)]
    return agent, []


async def expand_tool_groups(
    session: AsyncSession, owner_id: UUID, definition: D
) -> tuple[D, list[FieldProblem]]:
    """Return the definition with the rules of its tool groups, and problems with them."""
    lists = {field: getattr(definition, field) for field in TOOL_LISTS}
    named = groups_in(rule for rules in lists.values() for rule in rules)
    if not named:
        return definition, []
    groups = await named_resources.find_tool_groups(session, owner_id, named)
    problems = [
        problem
        for field, rules in lists.items()
        for problem in _group_problems(field, rules, groups)
    ]
    return definition.model_copy(
        update={field: expand(rules, groups) for field, rules in lists.items()}
    ), problems


def lists_with_groups(definition: TaskDefinition) -> dict[str, list[str]]:
    """Return the tool lists that name groups, as they were sent."""
    lists = {field: list(getattr(definition, field)) for field in TOOL_LISTS}
    return {field: rules for field, rules in lists.items() if groups_in(rules)}


async def server_problems(
    session: AsyncSession, owner_id: UUID, definition: TaskDefinition, *, is_public: bool
) -> list[FieldProblem]:
    """Return problems with references to registered MCP servers.

    A public definition can use only servers that are available to every user.
    """
    named = {
        key: server["ref"]
        for key, server in definition.sdk_options.mcp_servers.items()
        if isinstance(server, dict) and isinstance(server.get("ref"), str)
    }
    if not named:
        return []
    known = await named_resources.find_mcp_server_names(
        session, owner_id, named.values(), only_public=is_public
    )
    hint = (
        "Public tasks can use only public ones."
        if is_public
        else "Look in the list of MCP servers."
    )
    return [
        FieldProblem(
            ("body", "sdk_options", "mcp_servers", key, "ref"),
            f"MCP server {name!r:.120} does not exist. {hint}",
            "unknown_mcp_server",
        )
        for key, name in named.items()
        if name not in known
    ]


async def _agent_problem(session: AsyncSession, owner_id: UUID, slug: str) -> FieldProblem:
    known = await agents.list_slugs(session, owner_id, limit=COMPARED)
    alike = difflib.get_close_matches(slug, known, 1)
    hint = (
        f"Did you mean {alike[0]!r}?" if alike else f"Built-in agents: {', '.join(BUILT_IN_SLUGS)}."
    )
    text = f"Agent {slug!r:.120} does not exist. {hint}"
    return FieldProblem(("body", "agent_id"), text, "unknown_agent")


def _group_problems(
    field: str, rules: Sequence[str], groups: Collection[str]
) -> Iterator[FieldProblem]:
    for index, rule in enumerate(rules):
        name = group_named(rule)
        if name is not None and name not in groups:
            text = f"You have no tool group {name!r:.120}; create it, or remove the {GROUP}… rule."
            yield FieldProblem(("body", field, index), text, "unknown_tool_group")
