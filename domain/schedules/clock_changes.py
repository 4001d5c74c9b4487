"""The hours that a time zone repeats, in which Temporal's calendars fire twice, late or not at all.

Temporal computes the next time of a calendar from its local time, which is ambiguous there.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

LocalHour = tuple[date, int]
"""A date and an hour of the clock, 0 to 23."""


def list_covered_years() -> range:
    """Return the years whose repeated hours the schedules in Temporal know today."""
    this_year = datetime.now(UTC).year
    return range(this_year - 1, this_year + 2)


@lru_cache(maxsize=1000)
def find_repeated_hours(zone: ZoneInfo, year: int) -> frozenset[LocalHour]:
    """Return the local hours of a year that occur twice, wholly or in part, and the hour before.

    Temporal takes the end of the hour before for a repetition. An hour that a change of half an
    hour shortens is included too, because Temporal compares hours only and would fire at a minute
    that does not exist.
    """
    found: set[LocalHour] = set()
    for instant in _changes(zone, year):
        before, after = (_offset(zone, time) for time in (instant - MINUTE, instant))
        if after < before or (after - before) % HOUR:
            first = (instant + min(before, after)).replace(tzinfo=None)
            minutes = int((max(before, after) - min(before, after)) / MINUTE)
            for time in (first + minute * MINUTE for minute in range(-60, minutes)):
                found.add((time.date(), time.hour))
    return frozenset(found)


def _changes(zone: ZoneInfo, year: int) -> Iterator[datetime]:
    """Yield the instants in UTC, to the minute, at which the offset changes."""
    day = datetime(year, 1, 1, tzinfo=UTC) - DAY  # local time may be a day behind
    while day.year <= year:
        if _offset(zone, day) != _offset(zone, day + DAY):
            first, last = day, day + DAY
            while last - first > MINUTE:
                middle = first + (last - first) // MINUTE // 2 * MINUTE
                if _offset(zone, middle) == _offset(zone, day):
                    first = middle
                else:
                    last = middle
            yield last
        day += DAY


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
