"""Cron expressions of five fields, and the calendars they mean.

Read here and not by a library: croniter and cronsim accept `L` or `W`, which Temporal has no word
for. And not by Temporal, which reads a sixth field as a year, `#` as a comment, and wants day of
month and weekday both, where every cron since 1987 is content with either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month in its longest year."""

DAYS_OF_A_WEEK = 7

SEARCHED = timedelta(days=41 * 366)
"""A 29 February on a given weekday lets us wait 28 years, and 40 past 2100, which has none."""

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
    """Times at which all five match, each sorted; weekdays run from 0, Sunday, to 6."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: Sequence[int]
    months: Sequence[int]
    weekdays: Sequence[int]

    @property
    def ever_comes(self) -> bool:
        """Whether one of the months has one of the days."""
        return min(self.days) <= max(LONGEST_MONTH[month - 1] for month in self.months)

    def has(self, day: date) -> bool:
        """Whether the day matches."""
        return (
            day.month in self.months
            and day.day in self.days
            and day.isoweekday() % DAYS_OF_A_WEEK in self.weekdays
        )


class CronError(ValueError):
    """The expression is none, or never fires; the message says what to change."""


def check(expression: str) -> None:
    """Make sure that a schedule with this expression fires.

    Raises:
        CronError: it is no cron expression of five fields, or names no day there is.
    """
    calendars(expression)


def calendars(expression: str) -> Sequence[Calendar]:
    """What the expression means: it fires whenever one of these calendars matches.

    There are two where both a day of month and a weekday are given, and none of them by `*`.

    Raises:
        CronError: it is no cron expression of five fields, or names no day there is.
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
        raise CronError("No such day ever comes: the month is too short for it.")
    return coming


def fires(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The times behind `after` at which the expression fires in the zone, in UTC.

    A time of the clock that a change to summer time leaves out is left out; one that comes twice
    fires once. (In that one hour of a year Temporal decides which of the two it is.)
    """
    found = calendars(expression)
    day = after.astimezone(zone).date()
    last = day + SEARCHED
    while day < last:
        yield from (time for time in _of_day(found, day, zone) if time > after)
        day += timedelta(days=1)


def _of_day(found: Sequence[Calendar], day: date, zone: tzinfo) -> Sequence[datetime]:
    times: set[datetime] = set()
    for calendar in found:
        if not calendar.has(day):
            continue
        for hour in calendar.hours:
            for minute in calendar.minutes:
                time = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                if time.astimezone(UTC).astimezone(zone).hour == hour:
                    times.add(time.astimezone(UTC))
    return sorted(times)


def _values(part: str, field: _Field) -> set[int]:
    values: set[int] = set()
    for item in part.split(","):
        values |= _item(item, field)
    return values


def _item(item: str, field: _Field) -> set[int]:
    """One of `*`, `5`, `1-5`, and each of them with a step: `*/15`, `1-20/3`, `5/15`."""
    span, slash, step_text = item.partition("/")
    step = _number(step_text, field, item) if slash else 1
    if step < 1:
        raise CronError(f"The {field.name} {item!r} steps by nothing; a step is at least 1.")
    if span == "*":
        first, last = field.first, field.last
    else:
        first_text, dash, last_text = span.partition("-")
        first = _named(first_text, field, item)
        last = _named(last_text, field, item) if dash else (field.last if slash else first)
    if not field.first <= first <= last <= field.last:
        raise CronError(
            f"The {field.name} {item!r} is out of range; it runs from {field.first} to "
            f"{field.last}, the smaller end first."
        )
    return set(range(first, last + 1, step))


def _named(text: str, field: _Field, item: str) -> int:
    if text.lower() in field.names:
        return field.first + field.names.index(text.lower())
    return _number(text, field, item)


def _number(text: str, field: _Field, item: str) -> int:
    # At most two digits: more are out of range anyway, and `isdecimal` alone allows other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 2):  # noqa: PLR2004 - as said
        raise CronError(f"The {field.name} {item!r} is not understood; write numbers, * , - or /.")
    return int(text)
