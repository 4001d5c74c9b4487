"""Describes for each tool what a set of rules allows."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.rules.entries import parse
from domain.rules.permissions import KNOWN_TOOLS, Permissions
from domain.tools.engine import ASK_USER

OfferRule = Literal["allowed", "ask", "by_pattern"]
"""`allowed`: every call runs. `ask`: a person approves every call. `by_pattern`: the patterns
decide for each call."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An offered tool, with the rules that apply to it."""

    tool: str
    rule: OfferRule
    allowed: tuple[str, ...]
    ask: tuple[str, ...]
    disallowed: tuple[str, ...]


def offers(permissions: Permissions, tools: Collection[str] = KNOWN_TOOLS) -> Iterator[Offer]:
    """The tools that are offered, by name."""
    for tool in sorted(tools):
        if permissions.offers(tool):
            yield _offer(permissions, tool)


def _offer(permissions: Permissions, tool: str) -> Offer:
    allowed = _naming(permissions.allowed, tool)
    ask = _naming(permissions.ask, tool)
    disallowed = _naming(permissions.disallowed, tool)
    waived = permissions.mode == "bypassPermissions" or tool == ASK_USER
    rule: OfferRule = "by_pattern"
    if not disallowed and (waived or (not ask and _has_plain(allowed))):
        rule = "allowed"
    elif not disallowed and (not allowed or _has_plain(ask)):
        rule = "ask"
    return Offer(tool, rule, allowed, ask, disallowed)


def _naming(texts: Sequence[str], tool: str) -> tuple[str, ...]:
    return tuple(text for text in texts if (rule := parse(text)) and rule.names(tool))


def _has_plain(texts: Sequence[str]) -> bool:
    """Whether one of the rules matches every call of its tool."""
    return any((rule := parse(text)) and rule.argument is None for text in texts)
