"""A first message finds its agent by capabilities: the same one each time, with a reason."""

import pytest

from agent_library.built_in import load_built_in_agents
from domain.agents.agent import Agent
from domain.agents.matching import choose_agent

BUILT_IN = list(load_built_in_agents().values())


def agent(slug: str, *capabilities: str) -> Agent:
    return Agent(slug, slug, "", "You help.", capabilities=capabilities)


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        ("Please review the pull request.", "reviewer"),
        ("Could you do a security review of this code?", "reviewer"),
        ("Write unit tests for the parser", "tester"),
        ("The parser has to be refactored and coded", "implementer"),
        ("Debug the crash: find the root cause", "debugger"),
        ("I am planning a release. Break it down.", "planner"),
        ("Document the module for new users", "documenter"),
        ("RESEARCH: which databases support this?", "researcher"),
        ("@architect what do you think of a review?", "architect"),
        ("Hello!", None),
        ("In any case, thanks", None),
        ("Generally speaking, is it true?", None),
        ("mail me@architect.example", None),
        ("", None),
    ],
)
def test_a_message_finds_the_built_in_agent(message: str, slug: str | None) -> None:
    choice = choose_agent(message, BUILT_IN)
    assert (choice.agent.slug if choice.agent else None) == slug


@pytest.mark.parametrize(
    ("capability", "message"),
    [
        ("translation", "Translate this"),
        ("queries", "One query is slow"),
        ("tax returns", "My tax was returned"),
        ("Übersetzung", "eine übersetzung bitte"),
        ("翻訳", "翻訳 してください"),
    ],
)
def test_words_match_in_other_forms(capability: str, message: str) -> None:
    assert choose_agent(message, [agent("a", capability)]).agent is not None


def test_the_agent_with_more_matching_words_is_chosen_and_the_others_are_named() -> None:
    agents = [agent("one", "review"), agent("two", "contract review"), agent("three", "cooking")]
    choice = choose_agent("A review of my contract", agents)
    assert choice.agent == agents[1]
    assert choice.reason == (
        "The first message matches 'contract review' of the agent two. "
        "Other agents match, too: one ('review')."
    )


def test_of_equals_the_first_is_chosen() -> None:
    agents = [agent("b", "poetry"), agent("a", "poetry")]
    assert choose_agent("poetry", agents).agent == agents[0]
