"""The tasks, templates and MCP servers of a user that name an agent, an MCP server or a secret."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db import sql

SHOWN = 20
"""Dependents that are found at most (chosen: enough to see what to change)."""

SEARCHED = 1000
"""Tasks, and templates, that are searched, newest first. If none of 1,000 tasks and 1,000 templates
of 2 KB names it, the search takes 8 ms for an agent or an MCP server, and 19 ms for a secret
(median of 30, embedded Postgres, two busy cores, 2026-11-28)."""

_DEFINITIONS = """
    (SELECT 'task' AS kind, tasks.id, tasks.name, task_versions.definition
        FROM tasks JOIN task_versions
            ON task_versions.task_id = tasks.id AND task_versions.version = tasks.version
        WHERE tasks.user_id = :user_id AND tasks.deleted_at IS NULL
        ORDER BY tasks.id DESC LIMIT :searched)
    UNION ALL
    (SELECT 'task_template', id, name, task FROM task_templates
        WHERE user_id = :user_id ORDER BY id DESC LIMIT :searched)
"""

_SQL = sql.load("definitions/dependents.sql", definitions=_DEFINITIONS)

KINDS = frozenset(_SQL)
"""What can be named: `agent`, `mcp_server` and `secret`."""


@dataclass(frozen=True, slots=True)
class Dependent:
    """A task, a template or an MCP server that names something."""

    kind: str
    id: UUID
    name: str


async def find(session: AsyncSession, user_id: UUID, kind: str, name: str) -> Sequence[Dependent]:
    """The user's definitions that name the agent, MCP server or secret with this name."""
    parameters = {"user_id": user_id, "name": name, "shown": SHOWN, "searched": SEARCHED}
    if kind == "secret":
        parameters["reference"] = rf"secret://{re.escape(name)}([^a-z0-9_.-]|$)"
    found = await session.execute(_SQL[kind], parameters)
    return [Dependent(row.kind, row.id, row.name) for row in found]
