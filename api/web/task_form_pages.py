"""The form of a task or of a template as a page, with its cron expression in words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Response

from api.web import pages
from api.web.page_forms import form_values, status_for
from api.web.visits import Form, Visit
from domain.cron import CronError, fires
from domain.cron_words import describe_cron
from domain.errors import PerdureError

SHOWN_FIRES = 5


def render_form(
    visit: Visit,
    values: Mapping[str, str],
    form: Form,
    error: PerdureError | None,
    *,
    template: str,
    **more: Any,
) -> Response:
    """The form of a task or of a template, with `values` or with what was typed."""
    shown = form_values(form, error)
    shown["errors"] = {name.removeprefix("task/"): msg for name, msg in shown["errors"].items()}
    if form.entries:
        values = {name: found[0] for name, found in shown["typed"].items()}
    cron, zone = values.get("schedule_cron", ""), values.get("schedule_timezone", "UTC")
    return pages.render(
        template,
        status_for(error),
        **visit.layout,
        values=values,
        preview=preview_cron_fires(cron, zone),
        **shown,
        **more,
    )


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
