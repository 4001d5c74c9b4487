from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from domain.schedules.cron import Calendar, CronError, calendars, check, fires

BERLIN = ZoneInfo("Europe/Berlin")

FIRING = [
    "* * * * *",
    "0 9 * * 1-5",
    "*/15 0-6/2 1,15 jan-mar SUN",
    "5/20 * * * 7",
    "0 0 29 2 *",
    "0 0 31 1,2 *",
    "59 23 31 12 0",
]
REFUSED = [
    "",
    "0 9 * *",
    "0 0 9 * * *",
    "@daily",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "5-1 * * * *",
    "*/0 * * * *",
    "*/-1 * * * *",
    "1,,2 * * * *",
    "- * * * *",
    "a * * * *",
    "٣ * * * *",
    "100 * * * *",
    "* * L * *",
    "* * * * 1#2",
    "* * 15W * *",
    "? * * * *",
    "mon * * * *",
    "0 9 31 2 *",
    "0 9 31 2,4,6,9,11 *",
    "0 9 30 feb *",
]


@pytest.mark.parametrize("expression", FIRING)
def test_expressions_that_fire(expression: str) -> None:
    check(expression)


@pytest.mark.parametrize("expression", REFUSED)
def test_expressions_that_never_would(expression: str) -> None:
    with pytest.raises(CronError) as refused:
        check(expression)
    assert str(refused.value)


def test_day_of_month_and_weekday_mean_either() -> None:
    every_month, every_day = range(1, 13), range(1, 32)
    by_day, by_weekday = calendars("0 9 13 * 5")
    assert by_day == Calendar([0], [9], [13], list(every_month), range(7))
    assert by_weekday == Calendar([0], [9], every_day, list(every_month), [5])


@pytest.mark.parametrize("expression", ["0 9 * * 5", "0 9 13 * *", "0 9 */2 * 5", "0 9 13 * */2"])
def test_one_given_by_a_star_is_no_choice(expression: str) -> None:
    assert len(calendars(expression)) == 1


def test_a_day_that_never_comes_beside_a_weekday_is_left_out() -> None:
    (by_weekday,) = calendars("0 9 31 2 1")
    assert by_weekday.weekdays == [1]


def test_seven_is_sunday() -> None:
    assert calendars("0 9 * * 7")[0].weekdays == [0]
    assert calendars("0 9 * * 5-7")[0].weekdays == [0, 5, 6]


def first(expression: str, after: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    times = fires(expression, zone, datetime.fromisoformat(after))
    return [f"{time:%F %R}" for time in islice(times, count)]


def test_times_are_of_the_zone() -> None:
    assert first("0 9 * * 1-5", "2026-11-20T08:00:00Z", 2) == [
        "2026-11-23 08:00",
        "2026-11-24 08:00",
    ]
    assert first("0 9 * * 1-5", "2026-11-20T07:59:59Z", 1) == ["2026-11-20 08:00"]


def test_the_hour_that_summer_time_leaves_out_does_not_fire() -> None:
    assert first("30 2 * * *", "2027-03-27T00:00:00Z", 3) == [
        "2027-03-27 01:30",
        "2027-03-29 00:30",
        "2027-03-30 00:30",
    ]


def test_the_hour_that_comes_twice_fires_once() -> None:
    assert first("0,30 1-3 31 10 *", "2027-10-30T12:00:00Z", 6) == [
        "2027-10-30 23:00",
        "2027-10-30 23:30",
        "2027-10-31 00:00",
        "2027-10-31 00:30",
        "2027-10-31 02:00",
        "2027-10-31 02:30",
    ]


def test_what_comes_once_in_decades_is_found() -> None:
    assert first("0 0 29 2 */7", "2088-03-01T00:00:00Z", 1, ZoneInfo("UTC")) == ["2128-02-29 00:00"]


def test_both_calendars_together_fire_in_order() -> None:
    found = fires("0 12 13 * 5", UTC, datetime(2026, 11, 1, tzinfo=UTC))
    days = [time.day for time in islice(found, 5)]
    assert days == [6, 13, 20, 27, 4]
