"""JSON that a model wrote: read only as far as Postgres can hold it and an answer can carry it."""

import json
import math
from typing import Any

DEEPEST = 200
"""Levels of lists and objects: as many as a request may have. Answers can carry some 250, and the
parser itself ends at about a thousand."""


def parsed(text: str) -> Any:
    """The value in `text`.

    Raises:
        ValueError: it is no JSON, or JSON with numbers that are none or past every nesting.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Few texts have that many brackets at all, so hardly any is walked through.
    if text.count("{") + text.count("[") > DEEPEST and _is_deeper(value):
        raise ValueError("nested too deeply")
    return value


def _is_deeper(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if _is_container(inner)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _refuse(name: str) -> None:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number
