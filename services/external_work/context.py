"""Reads what a worker needs to know about its work."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain import templates
from domain.external_work import ArtifactReference, PrerequisiteResult, WorkContext
from persistence.definitions import agents
from persistence.executions import prerequisites, queries
from persistence.executions.snapshot import definition_of
from persistence.plans import runs
from persistence.sessions import artifacts
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow

MOST_ARTIFACTS = 100
"""Artifacts that a context lists, the newest ones (chosen)."""


async def describe_work(session: AsyncSession, row: ExecutionRow) -> WorkContext:
    """The context of an execution: its prompt, its agent, and the results that it builds on."""
    definition = TaskDefinition.model_validate(await definition_of(session, row))
    required = await prerequisites.list_completed(session, row.id)
    files = await find_artifacts(session, [row.id, *(r.id for r in required)])
    parent = None
    if row.parent_execution_id is not None:
        parent = await queries.find(session, row.parent_execution_id)
    agent = await agents.find(session, row.user_id, row.agent_id) if row.agent_id else None
    return WorkContext(
        title=row.title,
        prompt=await render_prompt(session, row, definition),
        agent=agent,
        system_prompt=definition.system_prompt,
        parent_title=parent.title if parent else None,
        # Without a report, it is the summary of the work itself.
        previous_summary=None if row.result_data is None else row.summary,
        input_data=row.input_data,
        prerequisites=[_describe(other, files[other.id]) for other in required],
        artifacts=files[row.id],
    )


async def render_prompt(
    session: AsyncSession, row: ExecutionRow, definition: TaskDefinition
) -> str:
    """The prompt of an execution with its variables, and the results of a plan's other steps."""
    if row.rendered_prompt is not None:
        return row.rendered_prompt
    template = definition.prompt_template
    keys = [r.key for r in templates.step_references(template) if r.key is not None]
    results = await runs.list_results(session, row.id, keys) if keys else {}
    variables = {**definition.default_variables, **row.prompt_variables}
    return templates.render(template, variables, results).text


async def find_artifacts(
    session: AsyncSession, ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[ArtifactReference]]:
    """The newest files of executions; an execution without files is not in the mapping."""
    found: dict[UUID, list[ArtifactReference]] = defaultdict(list)
    for row in await artifacts.list_newest(session, ids, limit=MOST_ARTIFACTS):
        if row.execution_id is not None:
            found[row.execution_id].append(reference(row))
    return found


def reference(row: ArtifactRow) -> ArtifactReference:
    """A stored file as workers see it."""
    return ArtifactReference(id=row.id, name=row.name, type=row.kind, size=row.size_bytes)


def _describe(row: ExecutionRow, files: Sequence[ArtifactReference]) -> PrerequisiteResult:
    text = (row.result_data or {}).get("text")
    return PrerequisiteResult(
        execution_id=row.id,
        title=row.title,
        summary=row.summary,
        text=text if isinstance(text, str) else None,
        artifacts=files,
    )
