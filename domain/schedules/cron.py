"""Parses cron expressions of five fields into calendars.

Libraries such as croniter and cronsim also accept `L` and `W`, which Temporal does not support.
Temporal reads a sixth field as a year and `#` as a comment, and requires that both day of month and
weekday match, whereas cron requires only one of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month in its longest year."""

DAYS_OF_A_WEEK = 7

SEARCHED = timedelta(days=41 * 366)
"""A 29 February on a given weekday comes every 28 years, around 2100 after 40 years."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: Sequence[str] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),  # 7 is Sunday too
)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Values of the five fields, sorted; it matches if all do. Weekdays are 0 (Sunday) to 6."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: Sequence[int]
    months: Sequence[int]
    weekdays: Sequence[int]

    @property
    def ever_comes(self) -> bool:
        """Whether any of the months has any of the days."""
        return min(self.days) <= max(LONGEST_MONTH[month - 1] for month in self.months)

    def has(self, day: date) -> bool:
        """Whether the day matches."""
        return (
            day.month in self.months
            and day.day in self.days
            and day.isoweekday() % DAYS_OF_A_WEEK in self.weekdays
        )


class CronError(ValueError):
    """The expression is invalid, or never fires; the message contains what to change."""


def check(expression: str) -> None:
    """Check that a schedule with this expression fires.

    Raises:
        CronError: the expression is invalid, or matches no existing day.
    """
    calendars(expression)


def calendars(expression: str) -> Sequence[Calendar]:
    """Parse an expression; it fires when any of the calendars matches.

    There are two calendars if both day of month and weekday are restricted.

    Raises:
        CronError: the expression is invalid, or matches no existing day.
    """
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        raise CronError(
            f"A cron expression has five fields (minute hour day month weekday); "
            f"this one has {len(parts)}. Example: '0 9 * * 1-5'."
        )
    minutes, hours, days, months, weekdays = (
        sorted(_values(part, field)) for part, field in zip(parts, _FIELDS, strict=True)
    )
    weekdays = sorted({day % DAYS_OF_A_WEEK for day in weekdays})
    found = [Calendar(minutes, hours, days, months, weekdays)]
    if not parts[2].startswith("*") and not parts[4].startswith("*"):
        found = [
            Calendar(minutes, hours, days, months, range(DAYS_OF_A_WEEK)),
            Calendar(minutes, hours, range(1, 32), months, weekdays),
        ]
    coming = [calendar for calendar in found if calendar.ever_comes]
    if not coming:
        raise CronError("This day does not exist: the month is too short.")
    return coming


def fires(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The times after `after` at which the expression fires in the zone, in UTC.

    A local time that the start of summer time skips does not fire; one that occurs twice fires the
    first time.
    """
    found = calendars(expression)
    day = after.astimezone(zone).date()
    last = day + SEARCHED
    while day < last:
        yield from (time for time in _list_times(found, day, zone) if time > after)
        day += timedelta(days=1)


def times_in_hour(
    found: Sequence[Calendar], hour: tuple[date, int], zone: tzinfo
) -> Sequence[datetime]:
    """Return the times in one hour of a local date, like `fires`."""
    day, wanted = hour
    return [time for time in _list_times(found, day, zone) if time.astimezone(zone).hour == wanted]


def _list_times(found: Sequence[Calendar], day: date, zone: tzinfo) -> Sequence[datetime]:
    times: set[datetime] = set()
    for calendar in found:
        if not calendar.has(day):
            continue
        for hour in calendar.hours:
            for minute in calendar.minutes:
                time = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                instant = time.astimezone(UTC)
                if instant.astimezone(zone).replace(tzinfo=None) == time.replace(tzinfo=None):
                    times.add(instant)
    return sorted(times)


def _values(part: str, field: _Field) -> set[int]:
    values: set[int] = set()
    for item in part.split(","):
        values |= _item(item, field)
    return values


def _item(item: str, field: _Field) -> set[int]:
    """Parse `*`, `5` or `1-5`, or one of them with a step: `*/15`, `1-20/3`, `5/15`."""
    span, slash, step_text = item.partition("/")
    step = _number(step_text, field, item) if slash else 1
    if step < 1:
        raise CronError(f"The {field.name} {item!r} has the step 0; a step is at least 1.")
    if span == "*":
        first, last = field.first, field.last
    else:
        first_text, dash, last_text = span.partition("-")
        first = _parse_name(first_text, field, item)
        last = _parse_name(last_text, field, item) if dash else (field.last if slash else first)
    if not field.first <= first <= last <= field.last:
        raise CronError(
            f"The {field.name} {item!r} is out of range; use {field.first} to "
            f"{field.last}, with the smaller number first."
        )
    return set(range(first, last + 1, step))


def _parse_name(text: str, field: _Field, item: str) -> int:
    if text.lower() in field.names:
        return field.first + field.names.index(text.lower())
    return _number(text, field, item)


def _number(text: str, field: _Field, item: str) -> int:
    # At most two digits: more are out of range. `isdecimal` alone allows digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 2):  # noqa: PLR2004 - see above
        raise CronError(f"The {field.name} {item!r} is not understood; write numbers, * , - or /.")
    return int(text)
