"""Working hours: only the time in them counts, also over weekends and changes of the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.people.requests import InputPolicy, next_action_at
from domain.people.working_hours import WorkingHours

OFFICE = {
    "time_zone": "Europe/Berlin",
    "days": ["mon", "tue", "wed", "thu", "fri"],
    "start": "09:00",
    "end": "17:00",
}


@pytest.mark.parametrize(
    ("moment", "hours", "expected"),
    [
        ("2026-11-27T08:00Z", 2, "2026-11-27T10:00Z"),  # a Friday, in the morning
        ("2026-11-27T15:00Z", 2, "2026-11-30T09:00Z"),  # one hour is left before the weekend
        ("2026-11-28T12:00Z", 1, "2026-11-30T09:00Z"),
        ("2026-11-27T03:00Z", 8, "2026-11-27T16:00Z"),
        ("2026-10-23T07:00Z", 9, "2026-10-26T09:00Z"),  # the clock changes on the Sunday
        ("2026-11-27T08:00Z", 80, "2026-12-10T16:00Z"),
    ],
)
def test_working_time_is_added(moment: str, hours: int, expected: str) -> None:
    office = WorkingHours.parse(OFFICE)
    assert office is not None
    due = office.add(datetime.fromisoformat(moment), timedelta(hours=hours))
    assert due == datetime.fromisoformat(expected)


def test_due_times_and_reminders_of_a_policy() -> None:
    friday = datetime(2026, 11, 27, 15, tzinfo=UTC)
    policy = InputPolicy(
        due_seconds=7200,
        on_expiry="escalate",
        escalate_to="group:leads",
        remind_after_seconds=(5400, 60),
        hours=WorkingHours.parse(OFFICE),
    )
    assert policy.due_at(friday) == datetime(2026, 11, 30, 9, tzinfo=UTC)
    first, second = policy.reminders(friday)
    assert (first, second) == (
        datetime(2026, 11, 27, 15, 1, tzinfo=UTC),
        datetime(2026, 11, 30, 8, 30, tzinfo=UTC),
    )
    assert next_action_at([], "escalate", first) == first
    assert next_action_at([], "deny", first) is None
