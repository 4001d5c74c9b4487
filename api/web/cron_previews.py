"""A cron expression in words, with its next run times."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from domain.schedules.cron import CronError, fires
from domain.schedules.cron_words import describe_cron

SHOWN_FIRES = 5


def preview_cron_fires(expression: str, zone_name: str) -> Mapping[str, Any]:
    """A cron expression in words with its next run times, or what is wrong with it."""
    shown: dict[str, Any] = {"words": "", "fires": [], "problem": ""}
    if not expression.strip():
        return shown
    try:
        zone = ZoneInfo(zone_name.strip() or "UTC")
        times = list(islice(fires(expression, zone, datetime.now(UTC)), SHOWN_FIRES))
        return {**shown, "words": describe_cron(expression), "fires": times}
    except CronError as error:
        return {**shown, "problem": str(error)}
    except (ValueError, OSError, KeyError):
        problem = "There is no such time zone. Use a name such as Europe/Berlin."
        return {**shown, "problem": problem}
