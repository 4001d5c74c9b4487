"""Agents, which tasks, ad-hoc work and subtasks name by their slug."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from domain.memory.entries import MemoryAccess

AgentExecutor = Literal["claude", "external"]
"""`claude`: our loop works as the agent. `external`: a person or another system claims its work."""

SLUG = r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"
"""Pattern of an `agent_id`, which is part of URLs, prompts and file names."""

LONGEST_SLUG = 100

BUILT_IN_SLUGS = (
    *("architect", "implementer", "debugger", "tester", "reviewer"),
    *("documenter", "researcher", "planner", "coordinator", "generic"),
)
"""The built-in agents, in the order in which they are listed.

Their files are in `agent_library/agents`.
"""

SPECIALISTS: Mapping[str, str] = {
    "analyst": "researcher",
    "coder": "implementer",
    "devops": "implementer",
}
"""Names of specialists that other orchestrators have, and our agents with the same role (chosen).
The other names are the same."""

_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent. Its `slug` is the `agent_id` on the wire; without a `model` it uses the task's."""

    slug: str
    name: str
    description: str
    system_prompt: str
    model: str | None = None
    allowed_tools: tuple[str, ...] = ()
    network: tuple[str, ...] | None = None
    """The hosts of its ad-hoc work (`domain.web.network`); None: no network, and no limit for
    subtasks that name it."""
    memory: MemoryAccess | None = None
    """The namespaces of its ad-hoc work; None: none, and no limit for subtasks that name it."""
    executor: AgentExecutor = "claude"
    capabilities: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def slug_of(name: str) -> str:
    """Make a slug from a name: `Code Reviewer` becomes `code-reviewer`. The result may be empty."""
    return _BETWEEN_WORDS.sub("-", name.lower()).strip("-")[:LONGEST_SLUG].strip("-")


def system_prompt_of(agent_prompt: str | None, task_prompt: str | None) -> str | None:
    """The system prompt: the agent's, then the task's; None if both are empty."""
    return "\n\n".join(filter(None, (agent_prompt, task_prompt))) or None


MODEL_ON_IMPORT: Mapping[str, str | None] = {
    "inherit": None,
    "opus": "claude-opus-5-5",
    "sonnet": "claude-sonnet-5-5",
    "haiku": "claude-haiku-5-5",
}
"""Short names in agent files, with the newest model of each family (models overview of
platform.claude.com, read 2026-11-21). `inherit` uses the task's model."""
