"""Working hours of a group: due times and reminders count only the time in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """The same hours on each of some weekdays (0 is Monday), in one time zone."""

    zone: ZoneInfo
    weekdays: frozenset[int]
    start: time
    end: time

    @classmethod
    def parse(cls, stored: Mapping[str, Any] | None) -> Self | None:
        """The hours as a group stores them (`time_zone`, `days`, `start`, `end`), or None."""
        if stored is None:
            return None
        return cls(
            ZoneInfo(stored["time_zone"]),
            frozenset(DAYS.index(day) for day in stored["days"]),
            time.fromisoformat(stored["start"]),
            time.fromisoformat(stored["end"]),
        )

    def add(self, moment: datetime, working: timedelta) -> datetime:
        """The time at which this much working time has passed since `moment`."""
        left = working
        for begin, end in self._shifts(moment):
            begin = max(begin, moment)  # noqa: PLW2901 - the rest of the first shift
            if begin + left <= end:
                return begin + left
            left -= end - begin
        raise AssertionError("there is always another shift")

    def _shifts(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The shifts that end after a moment, in UTC; changes of the clock lengthen or shorten."""
        day = moment.astimezone(self.zone).date()
        while True:
            if day.weekday() in self.weekdays:
                begin, end = self._combine(day, self.start), self._combine(day, self.end)
                if end > max(begin, moment):
                    yield begin, end
            day += _DAY

    def _combine(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone).astimezone(UTC)
