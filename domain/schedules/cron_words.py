"""Cron expressions in words, such as `At 02:30, Monday to Friday`.

The library `cron-descriptor` installs a package named `tools`, as we do, and describes expressions
that Temporal refuses.
"""

from collections.abc import Sequence

from domain.schedules.cron import Calendar, calendars

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

LISTED_TIMES = 6
"""Times of a day that are listed one by one (chosen)."""

_MINUTES, _HOURS, _DAYS, _MONTHS, _WEEKDAYS = 60, 24, 31, 12, 7


def describe_cron(expression: str) -> str:
    """When a cron expression fires.

    Raises:
        CronError: the expression is invalid, or never fires.
    """
    found = calendars(expression)
    days = " or ".join(filter(None, (_describe_day(calendar) for calendar in found)))
    months = found[0].months
    parts = [_describe_time(found[0]), days or "every day"]
    if len(months) < _MONTHS:
        parts.append(f"in {_join([MONTHS[month - 1] for month in months])}")
    return ", ".join(part for part in parts if part)


def _describe_time(calendar: Calendar) -> str:
    minutes, hours = calendar.minutes, calendar.hours
    if len(minutes) * len(hours) <= LISTED_TIMES:
        return f"At {_join([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    step = _find_step(minutes, _MINUTES)
    if step:
        often = "Every minute" if step == 1 else f"Every {step} minutes"
    elif len(minutes) == 1:
        step = _find_step(hours, _HOURS) or 1
        every = "Every hour" if step == 1 else f"Every {step} hours"
        often = f"{every} at minute {minutes[0]}" if minutes[0] else every
        if step > 1:
            return often
    else:
        often = f"At minutes {_join([str(minute) for minute in minutes])} of every hour"
    if len(hours) == _HOURS:
        return often
    if _is_range(hours):
        return f"{often}, from {hours[0]:02}:{minutes[0]:02} to {hours[-1]:02}:{minutes[-1]:02}"
    return f"{often}, in the hours {_join([f'{hour:02}' for hour in hours])}"


def _describe_day(calendar: Calendar) -> str:
    parts = []
    if len(calendar.days) < _DAYS:
        step = _find_step([day - 1 for day in calendar.days], _DAYS)
        days = _join([str(day) for day in calendar.days])
        word = "day" if len(calendar.days) == 1 else "days"
        parts.append(
            f"every {step} days of the month" if step else f"on {word} {days} of the month"
        )
    if len(calendar.weekdays) < _WEEKDAYS:
        parts.append(_describe_weekdays(calendar.weekdays))
    return " that is also ".join(parts)


def _describe_weekdays(weekdays: Sequence[int]) -> str:
    if len(weekdays) > 2 and _is_range(weekdays):  # noqa: PLR2004 - two days are listed
        return f"{DAYS[weekdays[0]]} to {DAYS[weekdays[-1]]}"
    return f"on {_join([DAYS[day] for day in weekdays])}"


def _find_step(values: Sequence[int], end: int) -> int | None:
    """The distance of values from 0 to `end`, if it is the same everywhere."""
    if len(values) < 2 or values[0] != 0:  # noqa: PLR2004 - one value has no distance
        return None
    step = values[1]
    return step if list(values) == list(range(0, end, step)) else None


def _is_range(values: Sequence[int]) -> bool:
    return len(values) > 1 and values[-1] - values[0] == len(values) - 1


def _join(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
