"""What a worker gets of an execution, read by the statement that gives it to the worker."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, TextClause, TextualSelect, text
from sqlalchemy.ext.asyncio import AsyncSession

from agent_library.built_in import load_built_in_agents
from domain.agents.agent import Agent
from domain.executions.external_work import ArtifactReference, PrerequisiteResult
from persistence.definitions.agents import agent_of
from persistence.executions.columns import select_columns, select_readers
from persistence.sessions.artifacts import TOOL_OUTPUT
from persistence.tables.executions import ExecutionRow

MOST_ARTIFACTS = 100
"""Artifacts that a worker gets a list of, the newest ones (chosen)."""

_COLUMNS = {column.name: column.type for column in ExecutionRow.__table__.columns}

_CONTEXT = {
    "pinned_definition": JSON(),
    "agent": JSON(),
    "prerequisites": JSON(),
    "artifacts": JSON(),
}

SELECT_WORK = f"""
SELECT {select_columns("claimed")}, {select_readers("claimed")},
    coalesce(claimed.definition, (
        SELECT v.definition FROM task_versions v
        WHERE v.task_id = claimed.task_id AND v.version = claimed.task_version
    )) AS pinned_definition,
    (SELECT p.title FROM executions p WHERE p.id = claimed.parent_execution_id) AS parent_title,
    (
        SELECT row_to_json(a) FROM agents a
        WHERE a.user_id = claimed.user_id AND a.slug = claimed.agent_id
    ) AS agent,
    (
        SELECT json_agg(json_build_object(
            'id', o.id, 'title', o.title, 'summary', o.summary, 'result', o.result_data
        ) ORDER BY o.id)
        FROM execution_prerequisites p, LATERAL (
            SELECT * FROM executions WHERE id = p.prerequisite_id AND status = 'completed' OFFSET 0
        ) AS o
        WHERE p.execution_id = claimed.id
    ) AS prerequisites,
    (
        SELECT json_agg(json_build_object(
            'execution_id', f.execution_id, 'id', f.id, 'name', f.name, 'type', f.kind,
            'size', f.size_bytes
        ) ORDER BY f.id DESC)
        FROM (
            SELECT * FROM artifacts
            WHERE kind <> '{TOOL_OUTPUT}' AND execution_id = ANY(ARRAY(
                SELECT p.prerequisite_id FROM execution_prerequisites p
                WHERE p.execution_id = claimed.id
                UNION ALL SELECT claimed.id
            ))
            ORDER BY id DESC LIMIT {MOST_ARTIFACTS}
        ) AS f
    ) AS artifacts
FROM claimed
"""  # noqa: S608 - our own names
"""Reads the rows of a query `claimed`, which has the columns of executions.

JSON is passed on whole: Postgres can't take text from JSON with characters that it does not store.

`OFFSET 0` keeps the order of the join. While Postgres's statistics say that few executions are
completed, it would read all completed ones first.
"""


@dataclass(frozen=True, kw_only=True)
class StoredWork:
    """An execution with what its worker needs to know.

    `columns` are those of `cached_reads.CachedReads.execution`, and hidden ones.
    """

    columns: Mapping[str, Any]
    definition: Mapping[str, Any]
    parent_title: str | None
    agent: Agent | None
    prerequisites: Sequence[PrerequisiteResult]
    artifacts: Sequence[ArtifactReference]

    @cached_property
    def row(self) -> ExecutionRow:
        """The execution, which belongs to no session; made when it is needed (0.1 ms)."""
        return make_row(self.columns)


_READ_COLUMNS = text(
    f"SELECT {select_columns('e')}, {select_readers('e')} FROM executions e WHERE id = :id"  # noqa: S608 - our own names
).columns(**_COLUMNS)


async def read_columns(session: AsyncSession, execution_id: UUID) -> Mapping[str, Any]:
    """The columns of an execution, with those of `select_readers`."""
    found = await session.execute(_READ_COLUMNS, {"id": execution_id})
    return found.one()._asdict()


def with_types(statement: TextClause) -> TextualSelect:
    """A statement that ends with `SELECT_WORK`, for sessions too."""
    return statement.columns(**_COLUMNS, **_CONTEXT)


def make_row(columns: Mapping[str, Any]) -> ExecutionRow:
    """The execution with these columns, and others; it belongs to no session."""
    return ExecutionRow(**{name: columns[name] for name in _COLUMNS})


def read_work(found: Any) -> StoredWork:
    """What a statement has returned that ends with `SELECT_WORK`."""
    files: dict[str, list[ArtifactReference]] = defaultdict(list)
    for file in found.artifacts or ():
        execution_id = file.pop("execution_id")
        files[execution_id].append(ArtifactReference(**{**file, "id": UUID(file["id"])}))
    return StoredWork(
        columns=found._asdict() if hasattr(found, "_asdict") else vars(found),
        definition=found.pinned_definition,
        parent_title=found.parent_title,
        agent=_read_agent(found.agent_id, found.agent),
        prerequisites=[_read_result(one, files[one["id"]]) for one in found.prerequisites or ()],
        artifacts=files[str(found.id)],
    )


def _read_agent(slug: str | None, stored: Mapping[str, Any] | None) -> Agent | None:
    """The agent with this slug: a built-in one, or one of the user."""
    if slug is None:
        return None
    if built_in := load_built_in_agents().get(slug):
        return built_in
    return None if stored is None else agent_of(SimpleNamespace(**stored))


def _read_result(
    stored: Mapping[str, Any], files: Sequence[ArtifactReference]
) -> PrerequisiteResult:
    result = (stored["result"] or {}).get("text")
    return PrerequisiteResult(
        execution_id=UUID(stored["id"]),
        title=stored["title"],
        summary=stored["summary"],
        text=result if isinstance(result, str) else None,
        artifacts=files,
    )
