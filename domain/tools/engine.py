"""The tools of the engine: they ask a person, submit a plan, and delegate work to subtasks.

For the model they are tools like any other, offered if `allowed_tools` or `ask_tools` name them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from domain.agents.agent import BUILT_IN_SLUGS, LONGEST_SLUG
from domain.executions.limits import MAX_DELEGATIONS_PER_TURN
from domain.tools.calls import ToolEffect, ToolSpec

ASK_USER = "ask_user"
DELEGATE = "delegate"
DELEGATE_MANY = "delegate_many"

SUBMIT_PLAN = "submit_plan"
"""Offered only with the permission mode `plan`, whatever `allowed_tools` say."""

DELEGATIONS = frozenset({DELEGATE, DELEGATE_MANY})
"""The tools that start subtasks."""

_ASK_USER = ToolSpec(
    name=ASK_USER,
    description=(
        "Ask the person responsible for this task a question and wait for the answer. The wait "
        "may take days, so ask only what you can't find out and can't reasonably assume, and put "
        "everything the person needs to decide into the question. Give `options` where the "
        "answer is a choice."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "question": {
                "type": "string",
                "minLength": 1,
                "maxLength": 10_000,
                "description": "The question, understandable to someone who has not followed you.",
            },
            "options": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 500},
                "minItems": 2,
                "maxItems": 20,
                "description": "Answers to choose from, the one you recommend first.",
            },
        },
        "required": ["question"],
        "additionalProperties": False,
    },
    effect=ToolEffect.READ_ONLY,
)

_SUBTASK: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "title": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "What the subtask does, in a few words, for the people watching.",
        },
        "prompt": {
            "type": "string",
            "minLength": 1,
            "maxLength": 100_000,
            "description": "Everything the subtask needs to know, and the result to return.",
        },
        "agent_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_SLUG,
            "description": (
                "An agent whose instructions are added to your prompt: "
                f"{', '.join(BUILT_IN_SLUGS)}, or another that your instructions name."
            ),
        },
        "allowed_tools": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 200},
            "maxItems": 50,
            "description": (
                "Names of your own tools that it may use; by default all of yours. An agent gets "
                "only those of your tools that it has itself."
            ),
        },
        "max_turns": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000,
            "description": "Model calls it may make.",
        },
        "max_budget_usd": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "The most that it may cost, in US dollars.",
        },
    },
    "required": ["title", "prompt"],
    "additionalProperties": False,
}
"""The schema of one subtask."""

_DELEGATE = ToolSpec(
    name=DELEGATE,
    description=(
        "Delegate a self-contained piece of work to a subtask and wait for its result. The subtask "
        "starts with an empty conversation and an empty workspace of its own: it knows only the "
        "prompt you write and returns only its final text. Several calls in one turn run side "
        "by side."
    ),
    input_schema=_SUBTASK,
    # The id of a subtask is fixed before it starts, so a repeated start has no effect.
    effect=ToolEffect.IDEMPOTENT,
)

_DELEGATE_MANY = ToolSpec(
    name=DELEGATE_MANY,
    description=(
        "Delegate several independent pieces of work to subtasks that run side by side, and wait "
        "until all have ended. Each subtask starts with an empty conversation and an empty "
        "workspace of its own. The result lists every subtask in your order, with its status and "
        "its final text, or the reason why it failed. The other subtasks continue when one fails."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "subtasks": {
                "type": "array",
                "items": _SUBTASK,
                "minItems": 1,
                "maxItems": MAX_DELEGATIONS_PER_TURN,
                "description": f"The subtasks, at most {MAX_DELEGATIONS_PER_TURN}.",
            }
        },
        "required": ["subtasks"],
        "additionalProperties": False,
    },
    effect=ToolEffect.IDEMPOTENT,
)

_SUBMIT_PLAN = ToolSpec(
    name=SUBMIT_PLAN,
    description=(
        "Submit your plan and wait until a person approves it, which may take days. Until then "
        "you can only read. Submit it once you know what to do, in concrete steps: what you "
        "change, in which order, and how you check it. The person may change the plan; carry out "
        "what is approved."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "plan": {
                "type": "string",
                "minLength": 1,
                "maxLength": 50_000,
                "description": "The plan in Markdown, understandable to someone who decides on it.",
            }
        },
        "required": ["plan"],
        "additionalProperties": False,
    },
    effect=ToolEffect.READ_ONLY,
)

ENGINE_TOOLS: Mapping[str, ToolSpec] = MappingProxyType(
    {spec.name: spec for spec in (_ASK_USER, _DELEGATE, _DELEGATE_MANY, _SUBMIT_PLAN)}
)
"""Specs by name."""
