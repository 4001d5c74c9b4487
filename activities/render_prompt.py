"""`render_prompt`: the first message, and everything the model will see, pinned."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agent.transcript import encode, result_block, text_block, tool_uses
from contracts.definitions import TaskDefinition
from contracts.execution import RenderPromptResult
from domain.agents import system_prompt_of
from domain.engine_tools import ENGINE_TOOLS
from domain.errors import ErrorCode
from domain.limits import DEFAULT_MAX_TOKENS
from domain.permissions import Permissions
from domain.specialists import BUILT_IN
from domain.templates import Rendered, render
from domain.tool_calls import ToolSpec
from persistence.db.database import Database
from persistence.executions import prompts
from persistence.executions.prompts import PromptSource
from persistence.executions.snapshot import permissions_of
from tools.specs import BUILTIN_TOOLS

NOT_RUN = "The execution before this one ended before the call was run."
NOT_SHARED = "The conversation was forked here before the call had a result; it was not run again."


async def render_prompt(
    database: Database, execution_id: UUID, *, default_model: str
) -> RenderPromptResult:
    """Render, append and pin; finds its own work done when repeated."""
    source = await prompts.find_source(database, execution_id)
    if source.is_pinned:
        return RenderPromptResult(last_message_seq=source.written_seq or source.last_seq)
    try:
        definition = TaskDefinition.model_validate(source.definition)
    except ValidationError:
        return RenderPromptResult(error_code=ErrorCode.INVALID_DEFINITION)
    prefix = _prefix(source, definition, default_model=default_model)
    if prefix is None:
        return RenderPromptResult(error_code=ErrorCode.INVALID_DEFINITION)
    rendered = _rendered(source, definition)
    blocks = [*_loose_ends(source), *_prompt(source, rendered)]
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


def _rendered(source: PromptSource, definition: TaskDefinition) -> Rendered:
    """The prompt; what a fork says in its place is never looked through for placeholders."""
    if source.prompt is not None:
        return Rendered(source.prompt, ())
    return render(definition.prompt_template, {**definition.default_variables, **source.variables})


def _prompt(source: PromptSource, rendered: Rendered) -> Sequence[Mapping[str, Any]]:
    """The prompt's block; none for a fork that goes on without a word."""
    return [] if source.prompt == "" else [text_block(rendered.text)]


def _loose_ends(source: PromptSource) -> Sequence[Mapping[str, Any]]:
    """Results for calls that were left without one: by the session's last execution, by a fork."""
    text = NOT_RUN if source.forked_prefix is None else NOT_SHARED
    return [result_block(use["id"], text, is_error=True) for use in tool_uses(source.last_answer)]


def _prefix(source: PromptSource, definition: TaskDefinition, *, default_model: str) -> str | None:
    """What the model will see, as JSON; None where the definition's agent is gone.

    A fork keeps what its origin pinned, to the byte, unless it is to run on another model.
    """
    if source.forked_prefix is None:
        who = _who(source)
        if who is None:
            return None
        # Subtasks stay on the model of who delegates, unless they or their agents have another.
        fallback = source.delegating_model or default_model
        return json.dumps(prefix_of(definition, who, default_model=fallback))
    pinned, model = json.loads(source.forked_prefix), definition.sdk_options.model
    if model in (None, pinned["model"]):
        return source.forked_prefix
    return json.dumps({**pinned, "model": model})


@dataclass(frozen=True, slots=True)
class Who:
    """What an execution's agent adds: words before the task's own, a model where that has none."""

    system_prompt: str | None = None
    model: str | None = None


def _who(source: PromptSource) -> Who | None:
    """The agent as it is now, which the prefix pins; None where it is gone."""
    if source.agent_id is None:
        return Who()
    if agent := BUILT_IN.get(source.agent_id):
        return Who(agent.system_prompt, agent.model)
    if source.agent_prompt is None:
        return None
    return Who(source.agent_prompt, source.agent_model)


def prefix_of(definition: TaskDefinition, who: Who, *, default_model: str) -> dict[str, Any]:
    """The fields of `domain.model_calls.Prefix`, as they are stored and hashed."""
    options = definition.sdk_options
    system_prompt = system_prompt_of(who.system_prompt, definition.system_prompt)
    return {
        "model": options.model or who.model or default_model,
        "max_tokens": options.max_tokens or DEFAULT_MAX_TOKENS,
        "system": [text_block(system_prompt)] if system_prompt else [],
        "tools": [_tool(spec) for spec in offered(permissions_of(definition))],
        "options": _options(definition),
        "betas": [],
    }


def offered(permissions: Permissions) -> Sequence[ToolSpec]:
    """The tools the definition names, in a fixed order."""
    known = {**BUILTIN_TOOLS, **ENGINE_TOOLS}
    return [spec for name, spec in known.items() if permissions.offers(name)]


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": spec.description,
        "input_schema": _plain(spec.input_schema),
    }


def _plain(value: Any) -> Any:
    """A schema as plain dicts and lists, for JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _options(definition: TaskDefinition) -> dict[str, Any]:
    """The other parameters of the Messages API, where the definition sets them."""
    options = definition.sdk_options
    output: dict[str, Any] = {}
    if options.effort is not None:
        output["effort"] = options.effort
    if options.output_schema is not None:
        output["format"] = {"type": "json_schema", "schema": options.output_schema}
    found = {
        "temperature": options.temperature,
        "thinking": options.thinking,
        "output_config": output or None,
    }
    return {key: value for key, value in found.items() if value is not None}
