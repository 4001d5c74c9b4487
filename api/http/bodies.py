"""JSON bodies, validated strictly from their bytes: `false` is no number, and `"5"` neither.

FastAPI's own bodies pass through Python objects, where strict mode would refuse every UUID and
time; from JSON text, pydantic knows that those are strings.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError

from api.http.errors import MalformedRequestError
from api.http.problems import SHOWN_PROBLEMS
from api.http.request_context import Called
from domain.errors import FieldProblem, InvalidInputError
from services.validation_messages import Location, sentence

M = TypeVar("M", bound=BaseModel)


class JsonBody(Generic[M]):
    """A dependency: the request's body as a model. `optional` reads no body as `{}`."""

    def __init__(self, model: type[M], *, optional: bool = False) -> None:
        """`model` must forbid extra fields, as every body of ours does."""
        self.model = model
        self.optional = optional

    async def __call__(self, call: Called) -> M:
        """Read and validate.

        Raises:
            MalformedRequestError: it is no JSON.
            InvalidInputError: it is JSON, and not what the model wants; names each field.
        """
        raw = await call.body()
        if not raw and self.optional:
            raw = b"{}"
        try:
            body = self.model.model_validate_json(raw, strict=True)
        except ValidationError as error:
            raise _refusal(error, raw, self.model) from error
        if problems := list(_unstorable(raw)):
            raise InvalidInputError("The body holds values that can't be stored.", problems)
        return body


def _refusal(error: ValidationError, raw: bytes, model: type[BaseModel]) -> Exception:
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return _unparseable(raw, found[0]["msg"])
    # Only those that are told: a name to suggest is sought for each, and there may be a million.
    told = found[:SHOWN_PROBLEMS]
    problems = [FieldProblem(("body", *e["loc"]), sentence(e, model), e["type"]) for e in told]
    return InvalidInputError("The body is invalid; see errors.", problems)


def _unparseable(raw: bytes, reason: str) -> Exception:
    """Tell what is no JSON from JSON that names characters or numbers that don't exist."""
    try:
        json.loads(raw.decode())
    except (json.JSONDecodeError, UnicodeDecodeError):
        return MalformedRequestError(f"The body can't be parsed. {reason}.")
    except (ValueError, RecursionError):
        pass
    problem = FieldProblem(("body",), f"{reason}; no lone surrogates, no nesting past 200.")
    return InvalidInputError("The body can't be represented; see errors.", [problem])


def _unstorable(raw: bytes) -> Iterator[FieldProblem]:
    """NUL, which Postgres has no text for, and numbers that are none.

    In JSON, NUL can only stand as an escape, so most bodies are seen through at a glance.
    """
    value = pydantic_core.from_json(raw)
    if b"\\u0000" not in raw and _is_finite(value):
        return
    yield from _walk(value, ("body",))


def _is_finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _walk(value: Any, loc: Location) -> Iterator[FieldProblem]:
    if isinstance(value, str) and "\0" in value:
        yield FieldProblem(loc, "Remove the NUL character.", "string_nul")
    elif isinstance(value, float) and not math.isfinite(value):
        yield FieldProblem(loc, "Write a finite number.", "finite_number")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*loc, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(name, loc)
            yield from _walk(item, (*loc, name))
