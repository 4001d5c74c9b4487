"""The activity `render_prompt`: writes the first message and pins what the model receives."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agent.transcript import encode, result_block, text_block, tool_uses
from agent_library.built_in import load_built_in_agents
from contracts.execution import RenderPromptResult
from definitions.tasks import TaskDefinition
from domain.agents.agent import system_prompt_of
from domain.errors import ErrorCode
from domain.executions.limits import DEFAULT_MAX_TOKENS
from domain.memory.entries import MemoryAccess
from domain.model.compaction import COMPACTION_BETA, make_compaction
from domain.rules.permissions import Permissions
from domain.templates import LONGEST_RENDERED, RenderedPrompt, render, step_references
from domain.tools.builtin import BUILTIN_TOOLS, with_network
from domain.tools.calls import ToolSpec
from domain.tools.engine import ENGINE_TOOLS
from domain.tools.memory import with_memory
from domain.tools.requirements import list_given_resources, unmet_requirement
from domain.web.network import NO_NETWORK, NetworkList
from persistence.db.database import Database
from persistence.executions import prompts
from persistence.executions.prompts import PromptSource
from persistence.plans import runs

NOT_RUN = "The previous execution of this session ended before the call was run."
NOT_SHARED = "This call was not run: the conversation was forked before it had a result."


async def render_prompt(
    database: Database,
    execution_id: UUID,
    *,
    default_model: str,
    network: NetworkList = NO_NETWORK,
    source: PromptSource | None = None,
) -> RenderPromptResult:
    """Render the prompt, append it to the session and pin the prefix. A repeat changes nothing.

    `network` is what the operator allows; `source` is given by the start of the execution.
    """
    source = source or await prompts.find_source(database, execution_id)
    if source.is_pinned:
        return RenderPromptResult(last_message_seq=source.written_seq or source.last_seq)
    try:
        definition = TaskDefinition.model_validate(source.definition)
    except ValidationError:
        return RenderPromptResult(error_code=ErrorCode.INVALID_DEFINITION)
    prefix = _prefix(source, definition, default_model=default_model, network=network)
    if prefix is None:
        return RenderPromptResult(error_code=ErrorCode.INVALID_DEFINITION)
    results = await _load_results(database, execution_id, definition)
    rendered = _render(source, definition, results)
    if len(rendered.text) > LONGEST_RENDERED:
        return RenderPromptResult(error_code=ErrorCode.CONTEXT_EXCEEDED)
    blocks = [*_missing_results(source), *_prompt_blocks(source, rendered)]
    seq = source.last_seq + (1 if blocks else 0)
    await prompts.write(
        database,
        execution_id,
        seq=seq,
        content=encode(blocks) if blocks else None,
        rendered=rendered.text,
        missing=rendered.missing,
        prefix=prefix,
        prefix_sha256=hashlib.sha256(prefix.encode()).digest(),
    )
    return RenderPromptResult(last_message_seq=seq)


async def _load_results(
    database: Database, execution_id: UUID, definition: TaskDefinition
) -> Mapping[str, str]:
    """Return the results of a plan's steps that the prompt of another step names."""
    keys = [r.key for r in step_references(definition.prompt_template) if r.key is not None]
    return await runs.load_results(database, execution_id, keys) if keys else {}


def _render(
    source: PromptSource, definition: TaskDefinition, results: Mapping[str, str]
) -> RenderedPrompt:
    """Render the template; the message of a fork replaces it and is used as it is."""
    if source.prompt is not None:
        return RenderedPrompt(source.prompt, ())
    variables = {**definition.default_variables, **source.variables}
    return render(definition.prompt_template, variables, results)


def _prompt_blocks(source: PromptSource, rendered: RenderedPrompt) -> Sequence[Mapping[str, Any]]:
    """Return the block of the prompt; a fork without a message has none."""
    return [] if source.prompt == "" else [text_block(rendered.text)]


def _missing_results(source: PromptSource) -> Sequence[Mapping[str, Any]]:
    """Return results for the tool calls that an earlier execution or a fork left without one."""
    text = NOT_RUN if source.forked_prefix is None else NOT_SHARED
    return [result_block(use["id"], text, is_error=True) for use in tool_uses(source.last_answer)]


def _prefix(
    source: PromptSource,
    definition: TaskDefinition,
    *,
    default_model: str,
    network: NetworkList,
) -> str | None:
    """Return what the model receives as JSON, or None if the agent does not exist any more.

    A fork keeps the bytes that its origin pinned, unless it asks for another model.
    """
    if source.forked_prefix is None:
        agent = _agent_part(source)
        if agent is None:
            return None
        # A subtask uses the model of its parent, unless it or its agent has another.
        fallback = source.delegating_model or default_model
        return build_prefix(definition, agent, default_model=fallback, network=network)
    pinned, model = json.loads(source.forked_prefix), definition.sdk_options.model
    if model in (None, pinned["model"]):
        return source.forked_prefix
    return json.dumps({**pinned, "model": model})


@dataclass(frozen=True, slots=True)
class AgentPart:
    """What an agent adds to a task: text before its system prompt, and a model if it has none."""

    system_prompt: str | None = None
    model: str | None = None


def _agent_part(source: PromptSource) -> AgentPart | None:
    """Return the agent's part as it is now, or None if the agent does not exist any more."""
    if source.agent_id is None:
        return AgentPart()
    if agent := load_built_in_agents().get(source.agent_id):
        return AgentPart(agent.system_prompt, agent.model)
    if source.agent_prompt is None:
        return None
    return AgentPart(source.agent_prompt, source.agent_model)


def build_prefix(
    definition: TaskDefinition,
    agent: AgentPart,
    *,
    default_model: str,
    network: NetworkList = NO_NETWORK,
) -> str:
    """Return the JSON of `domain.model.calls.Prefix` as it is stored and hashed.

    `network` is what the operator allows.
    """
    options = definition.sdk_options
    system_prompt = system_prompt_of(agent.system_prompt, definition.system_prompt)
    allowed = definition.allowed_network.intersection(network)
    memory = definition.memory_access
    offered = list_offered_tools(definition.permissions, allowed, memory)
    prefix = {
        "model": options.model or agent.model or default_model,
        "max_tokens": options.max_tokens or DEFAULT_MAX_TOKENS,
        "system": [text_block(system_prompt)] if system_prompt else [],
        "tools": [spec.definition() for spec in offered],
        "options": _options(definition),
        "betas": [COMPACTION_BETA] if options.compaction_tokens else [],
    }
    if allowed:
        prefix["network"] = allowed.texts()
    if memory:
        prefix["memory"] = memory.as_json()
    if options.mcp_servers:
        prefix["mcp"] = None  # the first segment lists their tools
    return json.dumps(prefix, default=dict)  # schemas hold read-only mappings


def list_offered_tools(
    permissions: Permissions, network: NetworkList, memory: MemoryAccess
) -> Sequence[ToolSpec]:
    """Return the tools that the definition offers to the model, in a fixed order."""
    known = {**BUILTIN_TOOLS, **ENGINE_TOOLS}
    given = list_given_resources(network=network, memory=memory)
    return [
        with_memory(with_network(spec, network), memory)
        for name, spec in known.items()
        if permissions.offers(name) and unmet_requirement(name, given) is None
    ]


def _options(definition: TaskDefinition) -> dict[str, Any]:
    """Return the other parameters of the Messages API that the definition sets."""
    options = definition.sdk_options
    output: dict[str, Any] = {}
    if options.effort is not None:
        output["effort"] = options.effort
    if options.output_schema is not None:
        output["format"] = {"type": "json_schema", "schema": options.output_schema}
    compaction = options.compaction_tokens
    found = {
        "temperature": options.temperature,
        "thinking": options.thinking,
        "output_config": output or None,
        "context_management": make_compaction(compaction) if compaction else None,
    }
    return {key: value for key, value in found.items() if value is not None}
