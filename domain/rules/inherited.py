"""The tool rules of a subtask: never more than those of its parent and of its agent."""

from collections.abc import Iterable, Iterator, Sequence

from domain.rules.entries import COMMAND_TOOL, Rule
from domain.rules.permissions import valid_rules
from domain.rules.text_patterns import matches_wildcards


def common_rules(rules: Sequence[str], others: Sequence[str]) -> Sequence[str]:
    """The rules that allow a call only if both lists do.

    Where two patterns overlap and none contains the other, nothing is allowed.
    """
    pairs = ((one, other) for one in valid_rules(rules) for other in valid_rules(others))
    found = (_common_rule(one, other) for one, other in pairs)
    return list(dict.fromkeys(str(rule) for rule in found if rule is not None))


def rules_for_tools(
    rules: Sequence[str], tools: Iterable[str], *, must_restrict: bool
) -> Sequence[str]:
    """The rules, each with its argument, for these tools only; names may have wildcards.

    With `must_restrict`, a rule is kept as it is if it may be for some of the tools.
    """
    kept = _rules_for_tools(valid_rules(rules), list(tools), must_restrict=must_restrict)
    return list(dict.fromkeys(map(str, kept)))


def _rules_for_tools(
    rules: Sequence[Rule], tools: Sequence[str], *, must_restrict: bool
) -> Iterator[Rule]:
    for rule in rules:
        for tool in tools:
            common = _narrower(rule.tool, tool)
            if common is not None:
                yield Rule(common, rule.argument)
            elif must_restrict and rule.restricts_tool(tool):
                yield Rule(tool, rule.argument)
            elif must_restrict and "*" in rule.tool and "*" in tool:
                yield rule


def _common_rule(one: Rule, other: Rule) -> Rule | None:
    tool = _narrower(one.tool, other.tool)
    if tool is None:
        return None
    if one.matches_every_call:
        return Rule(tool, other.argument)
    if other.matches_every_call or one.argument == other.argument:
        return Rule(tool, one.argument)
    # Only patterns of commands are compared as texts.
    if tool != COMMAND_TOOL or one.argument is None or other.argument is None:
        return None
    narrower = _narrower(one.argument, other.argument)
    return None if narrower is None else Rule(tool, narrower)


def _narrower(one: str, other: str) -> str | None:
    """Of two patterns with wildcards, the one whose texts all match the other."""
    if matches_wildcards(one, other):
        return other
    return one if matches_wildcards(other, one) else None
