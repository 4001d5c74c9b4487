"""Agents: users' own, by slug, beside the built-in ones; import from Markdown files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from agent_library.documents import DocumentError
from agent_library.files import AgentDocument, read_agent_file, split_front_matter
from agent_library.writing import UnwritableAgentError, write_agent_file
from domain.agents.agent import BUILT_IN_SLUGS
from domain.errors import (
    ConflictError,
    DuplicateNameError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
)
from persistence.db.paging import Page, Window
from persistence.definitions import agents, dependents
from persistence.definitions.dependents import Dependent
from persistence.tables.definitions import AgentRow
from services.caller import Caller
from services.definitions.inputs import AgentCreate, AgentImport
from services.definitions.resources import EditableResource
from services.definitions.task_rules import network_problems, tool_rule_problems
from services.definitions.updates import validate_fields
from services.unit_of_work import UnitOfWork


class Agents(EditableResource[AgentRow, AgentCreate]):
    """The declaration of agents. The key is the slug, which is `agent_id` in bodies."""

    entity, noun = "agent", "agent"
    table, create_model = AgentRow, AgentCreate

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> AgentRow:
        """Return an agent of the caller, or a built-in one, which cannot be locked.

        Raises:
            ConflictError: a built-in agent is to be changed.
        """
        if lock and key in BUILT_IN_SLUGS:
            raise ConflictError(
                f"The agent {key!r} is built in and cannot be changed; "
                "create an agent with another agent_id."
            )
        row = agents.find_built_in_row(key) or await agents.find_own(
            session, caller.user_id, key, lock=lock
        )
        if row is None:
            raise NotFoundError(f"Agent {key!r} does not exist.")
        return row

    async def page(
        self,
        session: AsyncSession,
        caller: Caller,
        window: Window,
        *,
        is_builtin: bool | None = None,
    ) -> Page[AgentRow]:
        """Return a page of the caller's agents, newest first, and then the built-in ones."""
        return await agents.page(session, caller.user_id, is_builtin=is_builtin, window=window)

    async def dependents(self, work: UnitOfWork, row: AgentRow) -> Sequence[Dependent]:
        """Return the owner's tasks and templates that name the agent."""
        return await dependents.find(work.session, row.user_id, self.entity, row.slug)

    async def check(self, work: UnitOfWork, row: AgentRow, body: AgentCreate) -> None:
        """Check the tool rules, the hosts, and that the slug of a new agent is free."""
        problems = list(tool_rule_problems("allowed_tools", body.allowed_tools))
        if body.network is None or row.network != body.network.model_dump(mode="json"):
            problems += network_problems(body.network, work.services.settings.network)
        if problems:
            raise InvalidInputError("The agent is invalid; see errors.", problems)
        if body.agent_id in BUILT_IN_SLUGS:
            raise DuplicateNameError(
                f"The agent {body.agent_id!r} is built in; choose another agent_id."
            )

    def columns(self, work: UnitOfWork, row: AgentRow, body: AgentCreate) -> Mapping[str, Any]:
        """Return the columns; the slug is the body's `agent_id`."""
        columns = dict(super().columns(work, row, body))
        return {"slug": columns.pop("agent_id"), **columns}

    def body_fields(self, row: AgentRow) -> Mapping[str, Any]:
        """Return the row as the fields of a body."""
        fields = self.create_model.model_fields.keys() - {"agent_id"}
        return {"agent_id": row.slug, **{field: getattr(row, field) for field in fields}}

    def audited_fields(self, row: AgentRow) -> Mapping[str, Any]:
        """Return what the agent is and may use; its prompt is content."""
        return {
            "agent_id": row.slug,
            "name": row.name,
            "model": row.model,
            "executor": row.executor,
            "allowed_tools": row.allowed_tools,
            "network": row.network,
            "memory": row.memory,
        }

    async def save(self, session: AsyncSession, row: AgentRow) -> None:
        """Write a row (`EditableResource.save`)."""
        await agents.create(session, row)


AGENTS = Agents()


@dataclass(frozen=True, slots=True)
class ImportedAgent:
    """An agent from a file. `ignored` lists what the file says that has no meaning here."""

    row: AgentRow
    ignored: tuple[str, ...]
    is_new: bool


async def import_agent(work: UnitOfWork, body: AgentImport) -> ImportedAgent:
    """Create an agent of the caller from a Markdown file with front matter, or replace it."""
    file = _read_file(body.markdown)
    agent = validate_fields(AgentCreate, file.body.value, "The agent in the file")
    row = await agents.find_own(work.session, work.caller.user_id, agent.agent_id, lock=True)
    if row is None or not body.replace:
        row = await AGENTS.create(work, agent)
        return ImportedAgent(row, file.ignored, is_new=True)
    await AGENTS.replace(work, row, agent)
    return ImportedAgent(row, file.ignored, is_new=False)


async def export_agent(session: AsyncSession, caller: Caller, slug: str) -> str:
    """Return an agent as a Markdown file that `import_agent` reads back unchanged.

    Raises:
        ConflictError: no file would be read back unchanged.
    """
    row = await AGENTS.find(session, caller, slug)
    agent = AgentCreate.model_validate(AGENTS.body_fields(row))
    try:
        return write_agent_file(agent.model_dump(mode="json", exclude_defaults=True))
    except UnwritableAgentError as error:
        raise ConflictError(str(error)) from error


def _read_file(markdown: str) -> AgentDocument:
    try:
        return read_agent_file(split_front_matter(markdown))
    except DocumentError as error:
        msg = f"Line {error.line}: {error}"
        problem = FieldProblem(("body", "markdown"), msg, "agent_file")
        raise InvalidInputError("This is not a valid agent file; see errors.", [problem]) from error
