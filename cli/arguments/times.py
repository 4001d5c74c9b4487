"""Times on the command line: `2026-01-31`, `yesterday`, `2h` for two hours ago."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.exits import CommandError


class TimeError(CommandError):
    """A text is no time."""


_SPAN = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAYS = {"today": 0, "yesterday": 1}


def parse_time(text: str) -> str:
    """A time in the form of the API: ISO, `today`, `yesterday`, or `2h` for two hours ago.

    Days and times without a zone are those of this machine.

    Raises:
        TimeError: it is something else.
    """
    if ago := _SPAN.fullmatch(text):
        return (datetime.now().astimezone() - _parse_span(ago)).isoformat()
    if text in _DAYS:
        day = datetime.now().astimezone().date() - timedelta(days=_DAYS[text])
        return datetime(day.year, day.month, day.day).astimezone().isoformat()
    return _parse_iso(text, "today, yesterday, or 30m, 2h, 3d or 1w for that long ago")


def _parse_span(span: re.Match[str]) -> timedelta:
    return timedelta(**{_UNITS[span["unit"]]: int(span["number"])})


def _parse_iso(text: str, others: str) -> str:
    """An ISO time; `others` are the other forms that the option accepts."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeError(
            f"{text!r} is no time; write 2026-01-31, 2026-01-31T09:00:00Z, {others}."
        ) from error
    return (time if time.tzinfo else time.astimezone()).isoformat()


def parse_later(text: str) -> str:
    """A future time in the form of the API: ISO, or `2h` for in two hours.

    Raises:
        TimeError: it is something else.
    """
    if later := _SPAN.fullmatch(text):
        return (datetime.now().astimezone() + _parse_span(later)).isoformat()
    return _parse_iso(text, "or 30m, 2h, 3d or 1w for in that time")


def parse_day(given: str | None) -> str | None:
    """The day in UTC of a time (`parse_time`); a day stays that day.

    Raises:
        TimeError: it is no time.
    """
    if given is None or _DAY.fullmatch(given):
        return given
    if given in _DAYS:
        return str(datetime.now(UTC).date() - timedelta(days=_DAYS[given]))
    return str(datetime.fromisoformat(parse_time(given)).astimezone(UTC).date())


def time_option(help_text: str, *flags: str) -> Any:
    """An option that takes a time (`parse_time`)."""

    def parse(given: str | None) -> str | None:
        return None if given is None else parse_time(given)

    return Annotated[
        str | None, typer.Option(*flags, metavar="TIME", help=help_text, callback=parse)
    ]


From = time_option(
    "Created then or later: 2026-01-31, 2026-01-31T09:00Z, today, yesterday, or 2h for two hours "
    "ago.",
    "--from",
    "--since",
)
To = time_option("Created before then.", "--to")
CREATED: Mapping[str, Any] = {"created_from": (From, None), "created_to": (To, None)}
"""Options of lists, by the parameters of their operations."""
