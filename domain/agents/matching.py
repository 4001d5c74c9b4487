"""Finds the agent for a conversation by its capabilities: the same message, the same agent.

A capability matches if the message has all of its words, in any form (`test`, `tests`, `testing`).
A message may also address an agent: `@reviewer`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.agents.agent import Agent

_WORD = re.compile(r"\w+")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ates", "ated", "ate", "ers", "er", "ed", "s")
"""Of English words, the longest first; in other languages, words match as they are written."""

_SHORTEST_STEM = 3

_LISTED_OTHERS = 3
"""Other agents that a reason names (chosen)."""


@dataclass(frozen=True, slots=True)
class AgentChoice:
    """The agent for a message, if there is one, and why, as a sentence."""

    agent: Agent | None
    reason: str


def choose_agent(message: str, agents: Sequence[Agent]) -> AgentChoice:
    """The agent with the most matching words in its capabilities; of equals, the first one."""
    for agent in agents:
        if re.search(rf"(?<![\w@])@{re.escape(agent.slug)}(?![\w-])", message):
            return AgentChoice(agent, f"The message addresses @{agent.slug}.")
    words = _stems(message)
    matches = [(agent, _matching(agent, words)) for agent in agents]
    ranked = sorted(
        ((agent, found) for agent, found in matches if found),
        key=lambda match: -sum(len(_stems(capability)) for capability in match[1]),
    )
    if not ranked:
        return AgentChoice(None, "The first message matches no capability of an agent.")
    [(agent, found), *others] = ranked
    reason = f"The first message matches {_quote(found)} of the agent {agent.slug}."
    if others:
        listed = ", ".join(f"{a.slug} ({_quote(f)})" for a, f in others[:_LISTED_OTHERS])
        reason = f"{reason} Other agents match, too: {listed}."
    return AgentChoice(agent, reason)


def _matching(agent: Agent, words: frozenset[str]) -> Sequence[str]:
    """The capabilities of which the message has all words."""
    return [one for one in agent.capabilities if (stems := _stems(one)) and stems <= words]


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in _WORD.findall(text.casefold()))


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > _SHORTEST_STEM + 2:
        return f"{word[:-3]}y"
    for suffix in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= _SHORTEST_STEM and not word.endswith("ss"):
            is_doubled = suffix != "s" and stem[-1] == stem[-2] and stem[-1] not in "ls"
            return (stem[:-1] if is_doubled else stem).removesuffix("e")
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word


def _quote(capabilities: Sequence[str]) -> str:
    return ", ".join(f"'{capability}'" for capability in capabilities)
