"""What is true of every execution that has ended, whatever happened to it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from domain.executions.states import ExecutionStatus, may_move

EVENT_TYPES = frozenset(
    {
        *(f"execution.{name}" for name in ("created", "started", "status_changed", "reset")),
        *("execution.completed", "execution.failed", "execution.cancelled"),
        *("turn.started", "turn.completed", "message.appended"),
        *("tool.started", "tool.completed", "tool.denied", "tool.changed", "tools.pinned"),
        *(
            "input.requested",
            "input.answered",
            "input.expired",
            "input.cancelled",
            "input.reminded",
            "input.remembered",
            "input.escalated",
            "input.approved",
            "input.mentioned",
        ),
        *("subtask.started", "subtask.completed", "budget.reserved", "budget.exceeded"),
        *("report.ready", "artifact.saved"),
    }
)
"""The documented events, the one of a reset, and two about tools of MCP servers."""


class Finished(Protocol):
    """The rows of an execution that has ended, in Postgres or in memory."""

    async def events(self) -> Sequence[Any]: ...
    async def model_calls(self) -> Sequence[Any]: ...
    async def tool_calls(self) -> Sequence[Any]: ...
    async def requests(self) -> Sequence[Any]: ...
    async def messages(self, *, superseded: bool = False) -> Sequence[Any]: ...


async def check(run: Finished, row: Any) -> None:
    """The events are numbered to the end, the totals match the rows, and nothing stays open."""
    events = await run.events()
    assert [event.seq for event in events] == list(range(1, row.event_seq + 1))
    assert {event.type for event in events} <= EVENT_TYPES
    assert events[-1].type == f"execution.{row.status}"
    _check_transitions(events)
    calls = await run.model_calls()
    assert row.cost_usd == sum((call.cost_usd or 0 for call in calls), Decimal(0))
    assert _tokens(row) == _tokens_of(calls)
    assert row.total_turns == sum(call.status == "succeeded" for call in calls)
    assert row.total_messages == len(await run.messages(superseded=True))
    tool_calls = await run.tool_calls()
    assert row.total_tool_calls == len(tool_calls)
    assert all(call.completed_at for call in tool_calls if call.superseded_at is None)
    assert not [call for call in calls if call.status == "intended"]
    assert not [request for request in await run.requests() if request.status == "open"]
    assert row.completed_at is not None
    assert row.status != ExecutionStatus.COMPLETED or row.result_data is not None
    assert (row.status == ExecutionStatus.FAILED) == (row.error_code is not None)
    assert (row.error_code is None) == (row.error_message is None)


def _check_transitions(events: Sequence[Any]) -> None:
    """States change as documented; a reset may come from any state."""
    status = None
    for event in events:
        following = _new_status(event)
        if following is None:
            continue
        if event.type == "execution.reset" or status in (None, following):
            status = following
            continue
        assert may_move(status, following), f"{status} to {following}"
        status = following


def _new_status(event: Any) -> ExecutionStatus | None:
    """The status that an event sets, or None."""
    match event.type:
        case "execution.started" | "execution.reset":
            return ExecutionStatus.RUNNING
        case "execution.status_changed":
            return ExecutionStatus(event.data["status"])
        case "execution.completed" | "execution.failed" | "execution.cancelled":
            return ExecutionStatus(event.type.removeprefix("execution."))
    return None


def _tokens(row: Any) -> Sequence[int]:
    return row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens


def _tokens_of(calls: Sequence[Any]) -> Sequence[int]:
    usages = [call.usage or {} for call in calls]

    def total(*names: str) -> int:
        return sum(usage.get(name, 0) for usage in usages for name in names)

    return (
        total("input_tokens"),
        total("output_tokens"),
        total("cache_read_tokens"),
        total("cache_write_5m_tokens", "cache_write_1h_tokens"),
    )
