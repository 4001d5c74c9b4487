"""Reads what a worker needs to know about its work."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain import templates
from domain.executions.external_work import ArtifactReference, WorkContext
from persistence.executions.stored_work import MOST_ARTIFACTS, StoredWork
from persistence.plans import runs
from persistence.sessions import artifacts
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow


async def describe_work(session: AsyncSession, stored: StoredWork) -> WorkContext:
    """The context of an execution: its prompt, its agent, and the results that it builds on.

    `session` is used only if the prompt is yet to be rendered.
    """
    columns = stored.columns
    prompt = columns["rendered_prompt"]
    if prompt is None:
        definition = TaskDefinition.model_validate(stored.definition)
        prompt = await render_prompt(session, stored.row, definition)
    return WorkContext(
        title=columns["title"],
        prompt=prompt,
        agent=stored.agent,
        system_prompt=stored.definition.get("system_prompt"),
        parent_title=stored.parent_title,
        # Without a report, it is the summary of the work itself.
        previous_summary=None if columns["result_data"] is None else columns["summary"],
        input_data=columns["input_data"],
        prerequisites=stored.prerequisites,
        artifacts=stored.artifacts,
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
            found[row.execution_id].append(make_reference(row))
    return found


def make_reference(row: ArtifactRow) -> ArtifactReference:
    """A stored file as workers see it."""
    return ArtifactReference(id=row.id, name=row.name, type=row.kind, size=row.size_bytes)
