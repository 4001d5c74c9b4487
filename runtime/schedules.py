"""Schedules in Temporal: made, changed and removed as tasks say, compared with them, looked at.

The gateway and the worker's upkeep use it. What can't be done while Temporal is away is told by
False or None, and done later (persistence/definitions/schedules.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import ScheduleOverlapPolicy
from temporalio.api.schedule.v1 import BackfillRequest, SchedulePatch
from temporalio.api.workflowservice.v1 import PatchScheduleRequest
from temporalio.client import (
    Client,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleListDescription,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from contracts import names
from domain.schedules import Backfill, Differences, ScheduleState, TaskSchedule
from runtime.dispatch import RPC_TIMEOUT, search_attributes
from runtime.schedule_specs import (
    is_as_described,
    is_as_listed,
    schedule_of,
    task_id_of,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")

LISTED = 1000
"""Schedules asked for at a time: 150 bytes each (measured)."""

DESCRIBED = 10
"""Schedules looked at closely in each comparison, 14 ms each (facts.md, A5)."""

COMPARE_TIMEOUT = timedelta(seconds=30)
"""Of a whole comparison: a thousand schedules take 0.2 s (chosen)."""

JUST_BEFORE = timedelta(milliseconds=1)
"""The server leaves out the start of a span; people mean it to be in."""


class Schedules:
    """Talks to Temporal about schedules that Postgres holds already."""

    def __init__(self, client: Client) -> None:
        """Takes a client, which may be one that connects at its first call."""
        self._client = client
        self._described = 0

    async def apply(self, wanted: TaskSchedule) -> bool:
        """Make the schedule, or change it to what is wanted; False when Temporal is away."""
        return await _told(lambda: self._apply(wanted), "apply", wanted.task_id)

    async def remove(self, task_id: UUID) -> bool:
        """Delete the task's schedule, if there is one; False when Temporal is away."""
        return await _told(lambda: self._remove(task_id), "remove", task_id)

    async def backfill(self, wanted: Backfill) -> bool:
        """Fire for every time of the span; again for the same id is once."""
        return await _told(lambda: self._backfill(wanted), "backfill", wanted.task_id)

    async def state(self, wanted: TaskSchedule) -> ScheduleState | None:
        """How the schedule stands in Temporal, or None when Temporal could not be asked."""
        return await _asked(lambda: self._state(wanted), "describe")

    async def compare(self, wanted: Mapping[UUID, TaskSchedule]) -> Differences | None:
        """Which of these schedules Temporal has not, or has otherwise; and which it has beside.

        What a list shows is compared for all, the rest for a few in turn. None: it is away.
        """
        return await _asked(lambda: self._compare(wanted), "compare", within=COMPARE_TIMEOUT)

    # --- one by one -----------------------------------------------------------------------------

    async def _apply(self, wanted: TaskSchedule) -> None:
        schedule = schedule_of(wanted)
        attributes = search_attributes(wanted)
        try:
            await self._client.create_schedule(
                names.schedule_id(wanted.task_id),
                schedule,
                search_attributes=attributes,
                rpc_timeout=RPC_TIMEOUT,
            )
        except ScheduleAlreadyRunningError:
            handle = self._client.get_schedule_handle(names.schedule_id(wanted.task_id))

            def change(_: ScheduleUpdateInput) -> ScheduleUpdate:
                return ScheduleUpdate(schedule, search_attributes=attributes)

            await handle.update(change, rpc_timeout=RPC_TIMEOUT)

    async def _remove(self, task_id: UUID) -> None:
        handle = self._client.get_schedule_handle(names.schedule_id(task_id))
        try:
            await handle.delete(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _state(self, wanted: TaskSchedule) -> ScheduleState:
        described = await self._describe(wanted.task_id)
        if described is None:
            return ScheduleState(is_as_wanted=False)
        info = described.raw_description.info
        return ScheduleState(
            is_as_wanted=is_as_described(described, wanted),
            next_fires=described.info.next_action_times,
            missed=info.missed_catchup_window,
            skipped=info.overlap_skipped + info.buffer_dropped,
            buffered=info.buffer_size,
            running=[run.workflow_id for run in info.running_workflows],
        )

    async def _describe(self, task_id: UUID) -> ScheduleDescription | None:
        handle = self._client.get_schedule_handle(names.schedule_id(task_id))
        try:
            return await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _backfill(self, wanted: Backfill) -> None:
        # Not by the SDK's handle, which gives each request an id of its own.
        span = BackfillRequest(
            start_time=_timestamp(wanted.start_at - JUST_BEFORE),
            end_time=_timestamp(wanted.end_at),
            overlap_policy=ScheduleOverlapPolicy.Value(
                f"SCHEDULE_OVERLAP_POLICY_{wanted.overlap_policy.upper()}"
            ),
        )
        await self._client.workflow_service.patch_schedule(
            PatchScheduleRequest(
                namespace=self._client.namespace,
                schedule_id=names.schedule_id(wanted.task_id),
                patch=SchedulePatch(backfill_request=[span]),
                identity=self._client.identity,
                request_id=str(wanted.id),
            ),
            timeout=RPC_TIMEOUT,
        )

    # --- all at once ----------------------------------------------------------------------------

    async def _compare(self, wanted: Mapping[UUID, TaskSchedule]) -> Differences:
        differing = set(wanted)
        unknown: set[UUID] = set()
        for entry in await self._listed():
            task_id = task_id_of(entry)
            if task_id is None:
                continue
            if task_id not in wanted:
                unknown.add(task_id)
            elif is_as_listed(entry, wanted[task_id]):
                differing.discard(task_id)
        for task_id in self._in_turn(sorted(wanted.keys() - differing)):
            described = await self._describe(task_id)
            if described is None or not is_as_described(described, wanted[task_id]):
                differing.add(task_id)
        return Differences(sorted(differing), sorted(unknown))

    def _in_turn(self, task_ids: Sequence[UUID]) -> Sequence[UUID]:
        """The next few of them; after the last ones come the first again."""
        if self._described >= len(task_ids):
            self._described = 0
        start = self._described
        self._described += DESCRIBED
        return task_ids[start : start + DESCRIBED]

    async def _listed(self) -> Sequence[ScheduleListDescription]:
        pages = await self._client.list_schedules(page_size=LISTED, rpc_timeout=RPC_TIMEOUT)
        return [entry async for entry in pages]


async def _told(tell: Callable[[], Awaitable[None]], what: str, task_id: UUID) -> bool:
    """Whether Temporal was told. What it refuses counts as told: asking again brings nothing."""

    async def telling() -> bool:
        try:
            await tell()
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            log.error("schedules.refused", what=what, task_id=str(task_id), error=error.message)  # noqa: TRY400 - it says all
        return True

    return await _asked(telling, what) is not None


async def _asked(
    ask: Callable[[], Awaitable[T]], what: str, *, within: timedelta = RPC_TIMEOUT
) -> T | None:
    """What Temporal answers; None when it could not be asked."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await ask()
    except (RPCError, RuntimeError, TimeoutError) as error:
        # A lazy client that can't connect raises RuntimeError, or takes its time.
        log.warning("schedules.not_asked", what=what, error=str(error))
        return None


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
