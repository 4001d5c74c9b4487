"""The calendar of schedules: what fired, what is to come, and what is missing."""

from datetime import UTC, datetime, timedelta

from domain.ids import new_id
from persistence.definitions.scheduled_runs import ScheduledRun
from persistence.tables.definitions import TaskRow
from services.scheduling.calendar import ScheduleFires, compare_fires

START = datetime(2026, 11, 23, tzinfo=UTC)
NOW = START + timedelta(days=3, hours=12)
END = START + timedelta(days=5)


def compare(
    cron: str, *runs: ScheduledRun, changed_at: datetime = START, is_enabled: bool = True
) -> ScheduleFires:
    row = TaskRow(
        id=new_id(),
        user_id=new_id(),
        name="x",
        tags=[],
        is_active=True,
        is_scheduled=True,
        schedule_enabled=is_enabled,
        schedule_cron=cron,
        schedule_timezone="UTC",
        schedule_overlap_policy="skip",
    )
    return compare_fires(row, runs, changed_at, (START, END, NOW))


def run(day: int, hours: float | None = 1) -> ScheduledRun:
    """The run of a day at two o'clock, which took some hours, or still runs."""
    at = START + timedelta(days=day, hours=2)
    end = None if hours is None else at + timedelta(hours=hours)
    return ScheduledRun(at, at, new_id(), "completed", completed_at=end)


def test_times_without_a_run_are_missed_or_to_come() -> None:
    found = compare("0 2 * * *", run(0), run(2))
    assert [(at.day, kind) for at, kind in found.others] == [
        (24, "missed"), (26, "missed"), (27, "coming")
    ]  # fmt: skip


def test_a_time_at_which_another_run_was_active_was_skipped() -> None:
    found = compare("0 2 * * *", run(0, hours=30), run(2, hours=None))
    assert [kind for _, kind in found.others] == ["overlap", "overlap", "coming"]


def test_only_times_since_the_last_change_are_compared() -> None:
    changed_at = START + timedelta(days=2, hours=3)
    found = compare("0 2 * * *", changed_at=changed_at)
    assert [(at.day, kind) for at, kind in found.others] == [(26, "missed"), (27, "coming")]


def test_a_paused_schedule_has_no_times() -> None:
    assert compare("0 2 * * *", is_enabled=False).others == ()


def test_many_times_a_day_are_not_compared() -> None:
    found = compare("*/5 * * * *", run(0))
    assert found.is_frequent
    assert found.others == ()
    assert not compare("0 * * * *").is_frequent
