"""Agents: specialists that tasks, ad-hoc work and subtasks may name by their slug."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AgentExecutor = Literal["claude", "external"]
"""`claude`: our loop works as the agent. `external`: somebody outside claims its work."""

SLUG = r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"
"""How an `agent_id` is written: it stands in addresses, prompts and file names."""

LONGEST_SLUG = 100

_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Agent:
    """A specialist. `slug` is the wire's `agent_id`; without `model` the task's or ours is used."""

    slug: str
    name: str
    description: str
    system_prompt: str
    model: str | None = None
    allowed_tools: tuple[str, ...] = ()
    executor: AgentExecutor = "claude"
    capabilities: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def slug_of(name: str) -> str:
    """A name as a slug: `Code Reviewer` is `code-reviewer`. Empty where nothing is left of it."""
    return _BETWEEN_WORDS.sub("-", name.lower()).strip("-")[:LONGEST_SLUG].strip("-")


def system_prompt_of(agent_prompt: str | None, task_prompt: str | None) -> str | None:
    """What the model is told before the prompt: who it is, then what the task says of its own."""
    return "\n\n".join(filter(None, (agent_prompt, task_prompt))) or None


MODEL_ON_IMPORT: Mapping[str, str | None] = {
    "inherit": None,
    "opus": "claude-opus-5-5",
    "sonnet": "claude-sonnet-5-5",
    "haiku": "claude-haiku-5-5",
}
"""Short names that agent files use, as the newest model of each family (models overview of
platform.claude.com, read 2026-11-21). `inherit` leaves the choice to the task."""
