"""JSON bodies, validated in strict mode: `false` and `"5"` are not numbers.

FastAPI validates Python objects, for which strict mode refuses UUIDs and times in strings. We
validate the JSON text, for which pydantic accepts them.
"""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from api.http.errors import MalformedRequestError, PayloadTooLargeError
from api.http.large_bodies import LARGE_BYTES
from api.http.problems import SHOWN_PROBLEMS
from api.http.request_context import Called
from domain.errors import FieldProblem, InvalidInputError
from services.validation_messages import Location, find_problems

M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")

MOST_VALUES = 100_000
"""JSON values of a body: parsing them takes 50 ms, in which no other request is handled (measured
2026-11-28; the largest ordinary bodies have some thousand)."""

_BEFORE_VALUES = (b",", b"[", b"{")


class JsonBody(Generic[M]):
    """A dependency that reads the request body as a model. `optional` reads no body as `{}`."""

    def __init__(self, model: type[M], *, optional: bool = False) -> None:
        """`model` must forbid extra fields."""
        self.model = model
        self.optional = optional

    async def __call__(self, call: Called) -> M:
        """Read and validate.

        Raises:
            MalformedRequestError: the body is not valid JSON.
            InvalidInputError: the JSON does not match the model; lists the invalid fields.
        """
        raw = await call.body()
        return await parse_beside(len(raw), self.parse, raw)

    def parse(self, raw: bytes) -> M:
        """Validate a body that was read before.

        Raises:
            MalformedRequestError: the body is not valid JSON.
            InvalidInputError: the JSON does not match the model; lists the invalid fields.
        """
        if not raw and self.optional:
            raw = b"{}"
        return read_model(self.model, raw)


async def parse_beside(size: int, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Parse JSON of this size in bytes; in a thread if it is large.

    Other requests are handled between the passes over it, each of which takes at most 50 ms (see
    `MOST_VALUES`).
    """
    if size < LARGE_BYTES:
        return parse(*args, **kwargs)
    return await asyncio.to_thread(parse, *args, **kwargs)


def read_model(model: type[M], raw: bytes, *, what: str = "body") -> M:
    """Read JSON as a model in strict mode; `what` is the name of the JSON in messages.

    Raises:
        MalformedRequestError: it is not valid JSON.
        PayloadTooLargeError: it has too many values.
        InvalidInputError: it does not match the model; lists the invalid fields.
    """
    require_few_values(raw, what)
    try:
        read = model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise _refusal(error, raw, model, what) from error
    if problems := list(_unstorable(raw, what)):
        raise InvalidInputError(
            f"The {what} contains values that cannot be accepted; see errors.", problems
        )
    return read


def require_few_values(raw: bytes, what: str) -> None:
    """Refuse a body with too many values before it is parsed: that would stop all other requests.

    Counts the characters before values outside strings; takes 30 ms for 10 MB.

    Raises:
        PayloadTooLargeError: the body has more than `MOST_VALUES` values.
    """
    if sum(map(raw.count, _BEFORE_VALUES)) <= MOST_VALUES:
        return  # including those in strings
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    has_few_strings = unescaped.count(b'"') <= 4 * MOST_VALUES  # each value may have a name
    outside = b"".join(unescaped.split(b'"')[::2]) if has_few_strings else b""
    if not has_few_strings or sum(map(outside.count, _BEFORE_VALUES)) > MOST_VALUES:
        raise PayloadTooLargeError(
            f"The {what} has more than {MOST_VALUES} values; send several smaller ones."
        )


def _refusal(error: ValidationError, raw: bytes, model: type[M], what: str) -> Exception:
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return _unparseable(raw, found[0]["msg"], what)
    # Only the first ones: finding a suggestion takes time, and there may be a million problems.
    problems = find_problems(error, model, (what,), limit=SHOWN_PROBLEMS)
    return InvalidInputError(f"The {what} is invalid; see errors.", problems)


def _unparseable(raw: bytes, reason: str, what: str) -> Exception:
    """Distinguish invalid JSON from JSON with invalid characters or numbers."""
    try:
        json.loads(raw.decode())
    except (json.JSONDecodeError, UnicodeDecodeError):
        return MalformedRequestError(f"The {what} is not valid JSON. {reason}.")
    except (ValueError, RecursionError):
        pass
    problem = FieldProblem(
        (what,), f"{reason}. Remove lone surrogates, and nest at most 200 levels."
    )
    return InvalidInputError(
        f"The {what} contains characters or values that are not supported; see errors.", [problem]
    )


def _unstorable(raw: bytes, what: str) -> Iterator[FieldProblem]:
    """Problems for doubled keys, for NUL characters, which Postgres cannot store, and for NaN.

    JSON can contain NUL only as an escape, so most bodies need no full check.
    """
    doubled: dict[int, list[str]] = {}
    infinite: list[str] = []

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            doubled[id(made)] = [name for name, count in counts.items() if count > 1]
        return made

    def make_float(text: str) -> float:
        made = float(text)
        if not math.isfinite(made):
            infinite.append(text)
        return made

    value = json.loads(
        raw, object_pairs_hook=make_object, parse_float=make_float, parse_constant=make_float
    )
    if doubled or infinite or b"\\u0000" in raw:
        yield from _walk(value, (what,), doubled)


def _walk(value: Any, loc: Location, doubled: Mapping[int, list[str]]) -> Iterator[FieldProblem]:
    """The problems of a value; `doubled` has the doubled keys of objects by their `id()`."""
    if isinstance(value, str) and "\0" in value:
        yield FieldProblem(loc, "Remove the NUL character.", "string_nul")
    elif isinstance(value, float) and not math.isfinite(value):
        yield FieldProblem(loc, "Use a finite number.", "finite_number")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*loc, index), doubled)
    elif isinstance(value, dict):
        for name in doubled.get(id(value), ()):
            yield FieldProblem((*loc, name), "This key appears twice; keep one.", "duplicate_key")
        for name, item in value.items():
            yield from _walk(name, loc, doubled)
            yield from _walk(item, (*loc, name), doubled)
