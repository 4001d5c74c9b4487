"""Create, change, delete, describe and compare schedules in Temporal.

The gateway and the worker use it. A call that does not reach Temporal returns False or None, and a
background task of the worker repeats it.
"""

from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
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
from domain.schedules.schedule import Backfill, Differences, ScheduleState, TaskSchedule
from runtime.dispatch import search_attributes
from runtime.schedule_specs import (
    is_as_described,
    is_as_listed,
    schedule_of,
    task_id_of,
)
from runtime.temporal import RPC_TIMEOUT, try_call

log = structlog.get_logger(__name__)

PAGE_SIZE = 1000
"""Schedules in one page of a list, 150 bytes each (measured)."""

DESCRIBED = 10
"""Schedules that each comparison describes, 14 ms each (measured)."""

COMPARE_TIMEOUT = timedelta(seconds=30)
"""Limit of a whole comparison: 1,000 schedules take 0.2 s (chosen)."""

BEFORE_START = timedelta(milliseconds=1)
"""The server excludes the start of a backfill's range; ours includes it."""


class Schedules:
    """Implements `ScheduleServer` over Temporal."""

    def __init__(self, client: Client) -> None:
        """`client` may be lazy."""
        self._client = client
        self._described = 0

    async def apply(self, wanted: TaskSchedule) -> bool:
        """Create or change the schedule. Return False if Temporal was not reached."""
        return await _is_sent(self._apply(wanted), "apply", wanted.task_id)

    async def remove(self, task_id: UUID) -> bool:
        """Delete the schedule of a task, if any. Return False if Temporal was not reached."""
        return await _is_sent(self._remove(task_id), "remove", task_id)

    async def backfill(self, wanted: Backfill) -> bool:
        """Run the schedule for every time in the range. A repeat with the same id does nothing."""
        return await _is_sent(self._backfill(wanted), "backfill", wanted.task_id)

    async def state(self, wanted: TaskSchedule) -> ScheduleState | None:
        """Describe the schedule in Temporal. Return None if Temporal was not reached."""
        return await try_call(
            self._read_state(wanted), "schedule.describe", task_id=str(wanted.task_id)
        )

    async def compare(self, wanted: Mapping[UUID, TaskSchedule]) -> Differences | None:
        """Return which of these schedules are missing or different, and which are not wanted.

        Every schedule is compared with its entry in a list; `DESCRIBED` of them per call are
        described and compared completely. Return None if Temporal was not reached.
        """
        return await try_call(self._compare(wanted), "schedule.compare", limit=COMPARE_TIMEOUT)

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

    async def _read_state(self, wanted: TaskSchedule) -> ScheduleState:
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
        # The SDK's handle would generate a new id for each request.
        times = BackfillRequest(
            start_time=_timestamp(wanted.start_at - BEFORE_START),
            end_time=_timestamp(wanted.end_at),
            overlap_policy=ScheduleOverlapPolicy.Value(
                f"SCHEDULE_OVERLAP_POLICY_{wanted.overlap_policy.upper()}"
            ),
        )
        await self._client.workflow_service.patch_schedule(
            PatchScheduleRequest(
                namespace=self._client.namespace,
                schedule_id=names.schedule_id(wanted.task_id),
                patch=SchedulePatch(backfill_request=[times]),
                identity=self._client.identity,
                request_id=str(wanted.id),
            ),
            timeout=RPC_TIMEOUT,
        )

    async def _compare(self, wanted: Mapping[UUID, TaskSchedule]) -> Differences:
        differing = set(wanted)
        unknown: set[UUID] = set()
        for entry in await self._list():
            task_id = task_id_of(entry)
            if task_id is None:
                continue
            if task_id not in wanted:
                unknown.add(task_id)
            elif is_as_listed(entry, wanted[task_id]):
                differing.discard(task_id)
        for task_id in self._next_described(sorted(wanted.keys() - differing)):
            described = await self._describe(task_id)
            if described is None or not is_as_described(described, wanted[task_id]):
                differing.add(task_id)
        return Differences(sorted(differing), sorted(unknown))

    def _next_described(self, task_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Return the next `DESCRIBED` ids; after the last ones, the first ones."""
        if self._described >= len(task_ids):
            self._described = 0
        start = self._described
        self._described += DESCRIBED
        return task_ids[start : start + DESCRIBED]

    async def _list(self) -> Sequence[ScheduleListDescription]:
        pages = await self._client.list_schedules(page_size=PAGE_SIZE, rpc_timeout=RPC_TIMEOUT)
        return [entry async for entry in pages]


async def _is_sent(call: Coroutine[Any, Any, None], action: str, task_id: UUID) -> bool:
    """Return whether Temporal received a change. A refusal counts: a repeat would not help."""

    async def send() -> bool:
        try:
            await call
        except RPCError as error:
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
            log.error(  # noqa: TRY400 - a traceback adds nothing
                "schedules.refused", action=action, task_id=str(task_id), error=error.message
            )
        return True

    return await try_call(send(), f"schedule.{action}", task_id=str(task_id)) or False


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
