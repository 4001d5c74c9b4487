"""Parses JSON that a model wrote, within the limits of Postgres and of our answers."""

import json
import math
from typing import Any

from domain.text import replace_surrogates

DEEPEST = 200
"""Levels of lists and objects, as in a request. Answers can have about 250 levels, and the parser
reads about a thousand."""


def parse_json(text: str, *, non_finite_as_null: bool = False) -> Any:
    """Parse `text`.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or contains NaN or infinite numbers
            without `non_finite_as_null`.
    """
    refuse = _null if non_finite_as_null else _refuse

    def parse_float(digits: str) -> float | None:
        number = float(digits)
        return number if math.isfinite(number) else refuse(digits)

    try:
        value = json.loads(text, parse_constant=refuse, parse_float=parse_float)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Few texts have this many brackets, so the depth of most is not computed.
    if text.count("{") + text.count("[") > DEEPEST and _is_deeper(value):
        raise ValueError("nested too deeply")
    return value


def _is_deeper(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _list_members(outer) if _is_container(inner)]
        if not level:
            return False
    return True


def _list_members(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_container(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _refuse(number: str) -> None:
    raise ValueError(number)


def _null(number: str) -> None:
    del number


def make_encodable(value: Any) -> Any:
    """Replace lone surrogates in all texts and keys of a JSON value, so that UTF-8 can encode it.

    A value without any is returned as it is.
    """
    text = json.dumps(value, ensure_ascii=False)
    encodable = replace_surrogates(text)
    return value if encodable is text else json.loads(encodable)
