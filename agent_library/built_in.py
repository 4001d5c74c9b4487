"""The built-in agents, from the files in `agents/`. Users can't change them.

Their tools are for ad-hoc work; a task that names an agent has its own list of tools.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from agent_library.files import read_agent_file, split_front_matter
from domain.agents.agent import BUILT_IN_SLUGS, Agent

_FOLDER = Path(__file__).parent / "agents"


@cache
def load_built_in_agents() -> Mapping[str, Agent]:
    """All built-in agents by slug, in the order of `BUILT_IN_SLUGS`. The first call reads files."""
    return MappingProxyType({slug: _load(slug) for slug in BUILT_IN_SLUGS})


def _load(slug: str) -> Agent:
    markdown = (_FOLDER / f"{slug}.md").read_text(encoding="utf-8")
    body = read_agent_file(split_front_matter(markdown)).body.value
    return Agent(
        slug=slug,
        name=body["name"],
        description=body["description"],
        system_prompt=body["system_prompt"],
        model=body["model"],
        allowed_tools=tuple(body["allowed_tools"]),
        capabilities=tuple(body["capabilities"]),
    )
