"""Compare our interpretation of cron expressions with Temporal's."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client

from domain.ids import new_id
from domain.schedules import cron
from domain.schedules.clock_changes import find_repeated_hours, list_covered_years
from domain.schedules.schedule import TaskSchedule
from runtime.schedules import Schedules

SPRING = datetime(2027, 3, 20, 5, 0, 30, tzinfo=UTC)
"""Before Berlin leaves an hour out (28 March) and New York did (14 March)."""

EXPRESSIONS = [
    "0 9 * * 1-5",
    "*/20 * * * *",
    "30 2 * * *",
    "0,30 1-3 27-29 3 *",
    "5/25 */7 * jan-apr sun,3",
    "0 12 13 * 5",
    "59 23 31 * *",
    "0 0 29 2 *",
    "15 10 1-7 * 1",
    "0 6 */10 * 7",
]


def of(cron_expression: str, zone: str) -> TaskSchedule:
    """A paused schedule without a task, which never runs."""
    return TaskSchedule(
        user_id=new_id(),
        task_id=new_id(),
        title="clock",
        trigger_type="scheduled",
        cron=cron_expression,
        timezone=zone,
        is_paused=True,
        overlap_policy="skip",
        catchup_window=timedelta(minutes=10),
        jitter=timedelta(0),
    )


async def matching(
    client: Client, schedule: TaskSchedule, after: datetime, until: datetime
) -> list[datetime]:
    """What Temporal says."""
    span = (Timestamp(), Timestamp())
    for stamp, time in zip(span, (after, until), strict=True):
        stamp.FromDatetime(time)
    answer = await client.workflow_service.list_schedule_matching_times(
        ListScheduleMatchingTimesRequest(
            namespace=client.namespace,
            schedule_id=f"task-{schedule.task_id}",
            start_time=span[0],
            end_time=span[1],
        )
    )
    return [time.ToDatetime(tzinfo=UTC) for time in answer.start_time]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
async def test_temporal_fires_when_we_say(
    temporal_client: Client, expression: str, zone: str
) -> None:
    schedule = of(expression, zone)
    server = Schedules(temporal_client)
    until = SPRING + timedelta(days=12 if expression.startswith("*/20") else 200)
    assert await server.apply(schedule)
    theirs = await matching(temporal_client, schedule, SPRING, until)
    ours = cron.fires(expression, ZoneInfo(zone), SPRING)
    assert list(takewhile(lambda time: time <= until, ours)) == theirs
    state = await server.state(schedule)
    assert state is not None
    assert state.is_as_wanted
    assert await server.remove(schedule.task_id)
    gone = await server.state(schedule)
    assert gone is not None
    assert not gone.is_as_wanted
    assert await server.remove(schedule.task_id)


MOST_RUNS = 1000
"""More than any of these has in thirty hours."""

REPEATED = [
    ("30 1 * * *", "America/New_York"),
    ("30 1 7 11 *", "America/New_York"),
    ("0,30 2 31 10 *", "Europe/Berlin"),
    ("*/15 1-3 31 10 *", "Europe/Berlin"),
    ("*/15 * * * *", "Europe/Berlin"),
    ("*/2 * * * *", "Europe/Berlin"),
    ("0 * 31 * 0", "Europe/Berlin"),
    ("15 1 * * *", "Europe/Berlin"),
    ("15 3 * * *", "Europe/Berlin"),
    ("15 0-23/3 * * *", "Europe/Berlin"),
    ("30 1 * * 0,6", "Europe/London"),
    ("0 0 * * *", "Antarctica/Troll"),
    ("*/20 0-4 * * *", "Antarctica/Troll"),
    ("10 * * * *", "Australia/Lord_Howe"),
    ("*/30 * * * *", "America/Havana"),
    ("30 23 * * *", "Asia/Beirut"),
    ("0 0 * * *", "Atlantic/Azores"),
]
"""Expressions that run in or beside an hour that their zone repeats."""


@pytest.mark.parametrize(("expression", "zone"), REPEATED)
async def test_each_run_in_a_repeated_hour_starts_once(
    temporal_client: Client, expression: str, zone: str
) -> None:
    schedule = of(expression, zone)
    server = Schedules(temporal_client)
    assert await server.apply(schedule)
    for year in list_covered_years():
        for day in {day for day, _ in find_repeated_hours(ZoneInfo(zone), year)}:
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            after, until = midnight - timedelta(hours=15), midnight + timedelta(hours=15)
            theirs = await matching(temporal_client, schedule, after, until)
            ours = [
                time
                for time in islice(cron.fires(expression, ZoneInfo(zone), after), MOST_RUNS)
                if time <= until
            ]
            assert ours == theirs
            local = [time.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for time in theirs]
            assert len(local) == len(set(local))
    state = await server.state(schedule)
    assert state is not None
    assert state.is_as_wanted
    assert await server.remove(schedule.task_id)
