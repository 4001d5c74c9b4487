"""Named lists of tool rules: a rule `group:NAME` means the rules of that list."""

from collections.abc import Iterable, Mapping, Sequence

GROUP = "group:"


def group_named(rule: str) -> str | None:
    """The name of the group that a rule means; None for another rule."""
    return rule.removeprefix(GROUP) if rule.startswith(GROUP) else None


def groups_in(rules: Iterable[str]) -> frozenset[str]:
    """The names of the groups in a list of rules."""
    return frozenset(name for rule in rules if (name := group_named(rule)) is not None)


def expand(rules: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Replace each group with its rules, each rule once. Unknown groups are dropped."""
    found: dict[str, None] = {}
    for rule in rules:
        name = group_named(rule)
        found.update(dict.fromkeys((rule,) if name is None else groups.get(name, ())))
    return tuple(found)
