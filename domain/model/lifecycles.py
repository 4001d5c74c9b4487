"""When models retire: a dated table, and the sentence about a model that is or will be retired."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

NOTICE = timedelta(days=30)
"""A model is named this long before it retires (chosen: time to change a task)."""

ALIKE = 0.85
"""How similar a misspelled name is to the one that is meant, from 0 to 1 (chosen: it differs in one
or two letters)."""

_DATED = re.compile(r"-\d{8}$")


@dataclass(frozen=True, slots=True)
class ModelLifecycle:
    """When a model retires, if that is known, and whether it is retired already."""

    retires_on: date | None
    is_retired: bool = False


RETIREMENTS: Mapping[str, ModelLifecycle] = MappingProxyType(
    {
        "claude-mythos-preview": ModelLifecycle(date(2026, 6, 30)),
        "claude-sonnet-4-5": ModelLifecycle(date(2026, 11, 30)),
        "claude-opus-4-5": ModelLifecycle(date(2027, 1, 22)),
    }
)
"""The models whose retirement is announced (anthropic 2.14.0, `DEPRECATED_MODELS`, 2026-11-28). The
Models API is more current; this table is for processes that did not get its answer."""


def strip_date(model: str) -> str:
    """The name without its release date: `claude-haiku-4-5-20251001` is `claude-haiku-4-5`."""
    return _DATED.sub("", model)


def find_lifecycle(model: str, known: Mapping[str, ModelLifecycle]) -> ModelLifecycle | None:
    """The lifecycle of a model: `known` is what the Models API answered, by model."""
    for lifecycles in (known, RETIREMENTS):
        found = lifecycles.get(model) or lifecycles.get(strip_date(model))
        if found is not None:
            return found
    return None


def describe_retirement(
    model: str, known: Mapping[str, ModelLifecycle], now: datetime
) -> str | None:
    """A sentence about a model that is retired or retires within `NOTICE`; None for others."""
    lifecycle = find_lifecycle(model, known)
    if lifecycle is None:
        return None
    today, retires_on = now.astimezone(UTC).date(), lifecycle.retires_on
    if lifecycle.is_retired or (retires_on is not None and retires_on <= today):
        since = "" if retires_on is None else f" since {retires_on:%Y-%m-%d}"
        return f"The model {model} is retired{since}, so calls fail. Choose another model."
    if retires_on is None or retires_on > today + NOTICE:
        return None
    return (
        f"The model {model} retires on {retires_on:%Y-%m-%d}, and calls fail from then on. Choose "
        "another model."
    )


def describe_misspelling(model: str, known: Collection[str]) -> str | None:
    """A sentence about a model that is not known, but nearly has the name of one that is."""
    if model in known or strip_date(model) in {strip_date(one) for one in known}:
        return None
    alike = difflib.get_close_matches(model, sorted(known), 1, ALIKE)
    return f"The model {model} is not known. Did you mean {alike[0]}?" if alike else None
