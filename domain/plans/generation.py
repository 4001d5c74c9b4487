"""How Claude is asked to write the steps of a plan, and to correct those that are invalid."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from domain.agents.agent import Agent
from domain.errors import FieldProblem

MOST_CORRECTIONS = 3
"""Times that an invalid plan is returned to the model, after which the execution fails (chosen:
what is still invalid then does not become valid with more calls)."""

LISTED_PROBLEMS = 10
"""Of an invalid plan in one message to the model (chosen)."""

_TEXT = {"type": "string"}

OUTPUT_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "title": _TEXT,
            "steps": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "key": _TEXT,
                        "title": _TEXT,
                        "prompt": _TEXT,
                        "agent_id": {"type": ["string", "null"]},
                        "depends_on": {"type": "array", "items": _TEXT},
                    },
                    "required": ["key", "title", "prompt", "agent_id", "depends_on"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["title", "steps"],
        "additionalProperties": False,
    }
)
"""The answer of the model. It has the limits that the API can enforce; the rules of plans are
checked afterwards, so that the model can correct what breaks them."""

_RULES = """\
Rules:

- Write at most {most} steps. Each has one result that can be checked.
- `key` identifies a step: letters, digits, - and _, used once.
- `depends_on` has the keys of the steps whose results a step needs, without cycles. Steps that do \
not depend on each other run at the same time.
- `prompt` has everything that the worker of the step must know; the worker reads nothing else. \
Where a worker needs the result of another step, write {{{{ steps.KEY.result }}}} with its key; it \
must be a step that it depends on.
- `agent_id` is one of the agents above, or null.

Answer with the plan as JSON only."""


def write_prompt(goal: str, agents: Sequence[Agent], most_steps: int) -> str:
    """The request for a plan: the goal, the agents that can do its steps, and the rules."""
    offered = "\n".join(map(_describe, agents))
    parts = [
        "Write a plan for this goal:",
        goal.strip(),
        "The agents that can do its steps:",
        offered,
        _RULES.format(most=most_steps),
    ]
    return "\n\n".join(parts)


def _describe(agent: Agent) -> str:
    able = f" Capabilities: {', '.join(agent.capabilities)}." if agent.capabilities else ""
    outside = " An outside worker does its steps." if agent.executor == "external" else ""
    return f"- {agent.slug}: {agent.description}{able}{outside}"


def find_unusable(
    steps: Sequence[tuple[str, str | None]], agents: Sequence[str], most_steps: int
) -> Iterator[FieldProblem]:
    """What breaks the request: too many steps, or an agent that was not offered.

    `steps` are keys with their agents.
    """
    if len(steps) > most_steps:
        text = f"The plan has {len(steps)} steps; write at most {most_steps}."
        yield FieldProblem(("body", "steps"), text, "too_long")
    for position, (_, agent) in enumerate(steps):
        if agent is not None and agent not in agents:
            text = f"There is no agent {agent!r:.80}; use one of {', '.join(agents)}, or null."
            yield FieldProblem(("body", "steps", position, "agent_id"), text, "unknown_agent")


def ask_for_correction(problems: Sequence[FieldProblem]) -> str:
    """The message that returns an invalid plan to the model."""
    return (
        f"This plan can't be used:\n\n{list_problems(problems)}\n\n"
        "Send the whole corrected plan as JSON."
    )


def explain_failure(problems: Sequence[FieldProblem]) -> str:
    """The error of an execution whose last plan is still invalid."""
    return (
        "Claude wrote no valid plan. Make the goal clearer or smaller, or write the plan "
        f"yourself.\n{list_problems(problems)}"
    )


def list_problems(problems: Sequence[FieldProblem]) -> str:
    """The problems as a list, each with its location in the plan."""
    lines = [f"- {_locate(p)}: {p.msg}" for p in problems[:LISTED_PROBLEMS]]
    if left_out := len(problems) - LISTED_PROBLEMS:
        lines += [f"- and {left_out} more"] if left_out > 0 else []
    return "\n".join(lines)


def _locate(problem: FieldProblem) -> str:
    """`steps[2].depends_on[0]`."""
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem.loc[1:]]
    return "".join(parts).lstrip(".") or "plan"
