"""Parses JSON that a model wrote, within the limits of Postgres and of our answers."""

import json
import math
from typing import Any

DEEPEST = 200
"""Levels of lists and objects, as in a request. Answers can have about 250 levels, and the parser
reads about a thousand."""


def parse_json(text: str) -> Any:
    """Parse `text`.

    Raises:
        ValueError: it is not JSON, contains NaN or infinite numbers, or is nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Few texts have this many brackets, so the depth of most is not computed.
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
