"""Reads the answer of the Models API (`GET /v1/models`)."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from domain.model.lifecycles import ModelLifecycle, strip_date

STAGES = frozenset({"active", "deprecated", "retired"})
"""Values of `lifecycle` (anthropic 2.14.0). Other servers list models without one."""


def read_lifecycles(answer: Any) -> Mapping[str, ModelLifecycle]:
    """The lifecycles in an answer, by the id of the model and by its name without a date."""
    entries = answer.get("data") if isinstance(answer, Mapping) else None
    found: dict[str, ModelLifecycle] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Mapping) or entry.get("lifecycle") not in STAGES:
            continue
        model = str(entry.get("id", ""))
        retired = entry["lifecycle"] == "retired"
        lifecycle = ModelLifecycle(_read_date(entry.get("retires_at")), is_retired=retired)
        found[model] = lifecycle
        found.setdefault(strip_date(model), lifecycle)
    return found


def _read_date(value: object) -> date | None:
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError:
        return None
