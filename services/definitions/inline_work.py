"""Definitions without a task: ad-hoc executions, messages after an end, turns of sessions.

The definition is stored with the execution and follows the same rules as that of a task.
"""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import MemoryPolicy, NetworkPolicy, SdkOptions, TaskDefinition
from domain.agents.agent import Agent, AgentExecutor
from persistence.definitions import agents
from persistence.executions.creation import Work
from persistence.executions.snapshot import definition_of
from persistence.tables.executions import ExecutionRow
from services.definitions import task_rules
from services.definitions.inputs import DEFINITION_FIELDS
from services.executions.inputs import WorkBody
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

MESSAGE = "message"
VERBATIM = f"{{{{ {MESSAGE} }}}}"
"""A prompt that is not a template: the value of a variable is never scanned for placeholders."""

LONGEST_TITLE = 100


async def define_work(work: UnitOfWork, body: WorkBody, *, owner_id: UUID | None = None) -> Work:
    """The work that the body defines, for the caller unless it has another owner."""
    user_id = owner_id or work.caller.user_id
    agent = await agents.find(work.session, user_id, body.agent_id) if body.agent_id else None
    given = {f: getattr(body, f) for f in DEFINITION_FIELDS & WorkBody.model_fields.keys()}
    if body.allowed_tools is None:
        given["allowed_tools"] = agent.allowed_tools if agent else ()
    if body.network is None:
        given["network"] = _network_of(agent)
    if body.memory is None:
        given["memory"] = _memory_of(agent)
    template = body.prompt if body.variables else VERBATIM
    definition = TaskDefinition(**given, prompt_template=template)
    definition = await task_rules.check_definition(work, definition, owner_id=user_id)
    title = body.title or make_title(body.prompt)
    return Work(
        definition=definition, title=title, is_inline=True, tags=body.tags, executor=body.executor
    )


async def find_checked_agent(
    work: UnitOfWork, slug: str | None, options: SdkOptions
) -> Agent | None:
    """The agent of a new session, if there is one, with valid options."""
    user_id = work.caller.user_id
    agent = await agents.find(work.session, user_id, slug) if slug else None
    if agent is not None and agent.executor != "claude":
        hint = "An external agent holds no conversation; start an execution for it instead."
        raise refuse_field("The session is invalid; see errors.", "agent_id", hint)
    turns = TaskDefinition(prompt_template=VERBATIM, agent_id=slug, sdk_options=options)
    await task_rules.check_definition(work, turns, owner_id=user_id)
    return agent


def choose_variables(body: WorkBody) -> dict[str, Any]:
    """The variables; without any, the prompt itself is the value of one."""
    return body.variables or {MESSAGE: body.prompt}


def define_turn(agent: Agent | None, options: dict[str, Any] | None, content: str) -> Work:
    """A turn of a session with an agent, or with the model alone."""
    definition = TaskDefinition(
        prompt_template=VERBATIM,
        agent_id=agent.slug if agent else None,
        allowed_tools=agent.allowed_tools if agent else (),
        network=_network_of(agent),
        memory=_memory_of(agent),
        sdk_options=SdkOptions.model_validate(options or {}),
    )
    return Work(definition=definition, title=make_title(content), is_inline=True)


def _network_of(agent: Agent | None) -> NetworkPolicy | None:
    """The network of an agent's own work."""
    if agent is None or agent.network is None:
        return None
    return NetworkPolicy(allow=agent.network)


def _memory_of(agent: Agent | None) -> MemoryPolicy | None:
    """The namespaces of an agent's own work."""
    if agent is None or agent.memory is None:
        return None
    return MemoryPolicy.model_validate({"namespaces": agent.memory.as_json()})


async def read_work(session: AsyncSession, row: ExecutionRow) -> Work:
    """The work of an execution, from its pinned definition."""
    return Work(
        definition=await _read_pinned(session, row),
        title=row.title,
        is_inline=row.definition is not None,
        task_id=row.task_id,
        task_version=row.task_version,
        tags=row.tags,
        executor=_executor_of(row),
    )


async def define_follow_up(session: AsyncSession, row: ExecutionRow, content: str) -> Work:
    """A message after the end of an execution, with the same tools and options."""
    definition = await _read_pinned(session, row)
    changed: dict[str, Any] = {
        "prompt_template": VERBATIM,
        "default_variables": {},
        "variables_schema": None,
    }
    return Work(
        definition=definition.model_copy(update=changed),
        title=make_title(content),
        is_inline=True,
        task_id=row.task_id,
        task_version=row.task_version,
        tags=row.tags,
        executor=_executor_of(row),
    )


def make_title(text: str) -> str:
    """The first line that is not empty, truncated."""
    lines = (line.strip() for line in text.splitlines())
    line = next(filter(None, lines), "Message")
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"


async def _read_pinned(session: AsyncSession, row: ExecutionRow) -> TaskDefinition:
    return TaskDefinition.model_validate(await definition_of(session, row))


def _executor_of(row: ExecutionRow) -> AgentExecutor:
    return "external" if row.executor == "external" else "claude"
