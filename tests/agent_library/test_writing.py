"""An agent that is written to a file is read back unchanged."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_library.built_in import load_built_in_agents
from agent_library.files import LITERAL, read_agent_file, split_front_matter
from agent_library.writing import UnwritableAgentError, write_agent_file
from services.definitions.inputs import AgentCreate

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
AGENTS = st.builds(
    AgentCreate,
    agent_id=st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9})?", fullmatch=True),
    name=TEXT.map(lambda text: f"N{text}"),
    description=TEXT,
    system_prompt=TEXT.map(lambda text: f"{text}P{text}"),
    model=st.none() | st.sampled_from(["opus", "inherit", "null", "claude-opus-5-5", "true"]),
    allowed_tools=st.lists(
        st.sampled_from(
            ["*", "bash", "Read", "bash(git:*)", "bash(echo (a, b))", "mcp__a__b", "read_file(a b)"]
        ),
        max_size=3,
    ),
    executor=st.sampled_from(["claude", "external"]),
    network=st.sampled_from([{"allow": []}, {"allow": ["example.com:22"]}]),
    memory=st.just({"namespaces": [{"namespace": "project:x", "mode": "write"}]}),
    capabilities=st.lists(TEXT.map(lambda text: f"{text},c"), max_size=2),
    tags=st.lists(st.sampled_from(["null", "1.10", "no", "a b", "# x", "- y"]), max_size=2),
)


def read(markdown: str) -> AgentCreate:
    return AgentCreate.model_validate(read_agent_file(split_front_matter(markdown)).body.value)


@given(AGENTS)
def test_any_agent_is_read_back_unchanged(agent: AgentCreate) -> None:
    fields = agent.model_dump(mode="json", exclude_defaults=True)
    assert read(write_agent_file(fields)) == agent


@pytest.mark.parametrize("slug", load_built_in_agents())
def test_a_usual_agent_is_written_as_coding_agents_do(slug: str) -> None:
    agent = load_built_in_agents()[slug]
    fields: dict[str, Any] = {
        "agent_id": slug,
        "name": agent.name,
        "description": agent.description,
        "system_prompt": agent.system_prompt,
        "allowed_tools": list(agent.allowed_tools),
        "capabilities": list(agent.capabilities),
    }
    markdown = write_agent_file(fields)
    assert LITERAL not in markdown
    assert markdown.endswith(f"---\n\n{agent.system_prompt}\n")


def test_an_agent_that_no_file_can_hold_is_refused() -> None:
    fields = {"agent_id": "a", "name": "A", "system_prompt": " x" * 40_000}
    with pytest.raises(UnwritableAgentError, match="begins or ends with white space"):
        write_agent_file(fields)
