"""What turns cost, folded to as many columns as a chart can show apart."""

from collections.abc import Sequence

from domain.report_facts import TokenCounts, TurnUsage

MAX_COLUMNS = 60
"""On a phone each is still five pixels wide (chosen)."""


def columns(uses: Sequence[TurnUsage]) -> tuple[TurnUsage, ...]:
    """The turns in order, neighbours joined in groups of one size until they are few enough."""
    each = -(-len(uses) // MAX_COLUMNS) or 1
    return tuple(_joined(uses[start : start + each]) for start in range(0, len(uses), each))


def _joined(group: Sequence[TurnUsage]) -> TurnUsage:
    if len(group) == 1:
        return group[0]
    tokens = {
        field: sum(getattr(u.tokens, field) for u in group)
        for field in ("input", "output", "cache_read", "cache_write")
    }
    return TurnUsage(
        first=group[0].first,
        last=group[-1].last,
        tokens=TokenCounts(**tokens),
        cost_usd=sum((use.cost_usd for use in group), start=group[0].cost_usd * 0),
        message_seq=next((use.message_seq for use in group if use.message_seq), None),
    )
