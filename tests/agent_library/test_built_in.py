"""The files of the built-in agents: complete, without unknown fields, and part of the wheel."""

from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from agent_library.built_in import load_built_in_agents
from agent_library.files import read_agent_file, split_front_matter
from domain.agents.agent import BUILT_IN_SLUGS
from services.definitions.inputs import AgentCreate

ROOT = Path(__file__).parents[2]
FILES = ROOT / "agent_library" / "agents"


def test_each_slug_has_a_file() -> None:
    assert {path.name for path in FILES.iterdir()} == {f"{slug}.md" for slug in BUILT_IN_SLUGS}
    assert tuple(load_built_in_agents()) == BUILT_IN_SLUGS


@pytest.mark.parametrize("slug", BUILT_IN_SLUGS)
def test_a_file_could_be_imported_by_a_user(slug: str) -> None:
    found = read_agent_file(split_front_matter((FILES / f"{slug}.md").read_text()))
    agent = AgentCreate.model_validate(found.body.value)
    assert (agent.agent_id, found.ignored) == (slug, ())
    loaded = load_built_in_agents()[slug]
    assert (agent.name, agent.system_prompt) == (loaded.name, loaded.system_prompt)
    assert tuple(agent.allowed_tools) == loaded.allowed_tools != ()
    assert tuple(agent.capabilities) == loaded.capabilities != ()


def test_the_wheel_contains_the_files() -> None:
    paths = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"agent_library/agents/{slug}.md" for slug in BUILT_IN_SLUGS} <= paths
