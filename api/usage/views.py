"""Usage, from rows to what clients read."""

from typing import Any

from api.http.paging import address
from api.http.request_context import Call
from api.usage.schemas import UsageGroup, UsageRead, UsageSums
from persistence.ledger.usage import GroupBy, GroupUsage, Measures, UsageFilter, UsageReport


def render_usage(
    call: Call, group_by: GroupBy, filters: UsageFilter, usage: UsageReport
) -> UsageRead:
    """Return the usage of the days in the filter."""
    return UsageRead(
        group_by=group_by.value,
        since=filters.since,
        until=filters.until,
        items=[_render_group(group_by, group) for group in usage.groups],
        is_capped=usage.is_capped,
        totals=UsageSums(**_sums(usage.totals)),
        links={"self": address(call.request)},
    )


def _render_group(group_by: GroupBy, group: GroupUsage) -> UsageGroup:
    keys: dict[GroupBy, dict[str, Any]] = {
        GroupBy.DAY: {"day": group.key},
        GroupBy.TASK: {"task_id": group.key, "task_name": group.name},
        GroupBy.MODEL: {"model": group.key},
        GroupBy.USER: {"user_id": group.key, "user": group.name},
    }
    return UsageGroup(**keys[group_by], **_sums(group.measures))


def _sums(measures: Measures) -> dict[str, Any]:
    ended = measures.completed + measures.failed + measures.cancelled
    return {
        "executions": measures.executions,
        "completed": measures.completed,
        "failed": measures.failed,
        "cancelled": measures.cancelled,
        "unfinished": measures.executions - ended,
        "success_rate": round(measures.completed / ended, 6) if ended else None,
        "input_tokens": measures.input_tokens,
        "output_tokens": measures.output_tokens,
        "cache_read_tokens": measures.cache_read_tokens,
        "cache_write_tokens": measures.cache_write_tokens,
        "cost_usd": measures.cost_usd,
        "running_seconds": measures.running_ms / 1000,
        "human_wait_seconds": measures.human_wait_ms / 1000,
    }
