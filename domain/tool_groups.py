"""Named lists of tool rules: a rule `group:NAME` stands for the rules of the list."""

from collections.abc import Iterable, Mapping, Sequence

GROUP = "group:"


def group_named(rule: str) -> str | None:
    """The group that a rule stands for; None where it is a rule of its own."""
    return rule.removeprefix(GROUP) if rule.startswith(GROUP) else None


def groups_in(rules: Iterable[str]) -> frozenset[str]:
    """The groups that a list of rules names."""
    return frozenset(name for rule in rules if (name := group_named(rule)) is not None)


def expand(rules: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The list with each group's rules in its place, each rule once. Unknown groups vanish."""
    found: dict[str, None] = {}
    for rule in rules:
        name = group_named(rule)
        found.update(dict.fromkeys((rule,) if name is None else groups.get(name, ())))
    return tuple(found)
