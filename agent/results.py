"""Makes the result of a finished execution."""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from agent.transcript import join_text
from domain.errors import ErrorCode
from domain.model_json import parse_json
from domain.steps import Failure
from domain.time_limits import TookTooLongError, time_limit

LONGEST_SECONDS = 1.0
"""Longest time to apply a schema. It blocks the worker's event loop, so it must be short. Real
schemas take milliseconds, so a valid answer does not fail on a busy machine (chosen)."""

# Empty: by default jsonschema fetches what a `$ref` names, over the network and from our files.
_NOTHING_REMOTE: Registry[Any] = Registry()


def make_result(
    blocks: Sequence[Mapping[str, Any]], output_schema: Mapping[str, Any] | None
) -> Mapping[str, Any] | Failure:
    """`{"text"}` of the last turn, with its `output` where the task has an output_schema."""
    text = join_text(blocks)
    if output_schema is None:
        return {"text": text}
    try:
        output = parse_json(text)
    except ValueError:
        return Failure(
            ErrorCode.OUTPUT_INVALID, "The answer is not JSON, as output_schema requires."
        )
    problem = schema_problem(output, output_schema, name="output_schema")
    if problem is not None:
        return Failure(ErrorCode.OUTPUT_INVALID, problem)
    return {"text": text, "output": output}


def schema_problem(
    value: Any, schema: Mapping[str, Any], *, name: str = "the schema"
) -> str | None:
    """Why the value does not match the schema, as a sentence, or None."""
    validator = Draft202012Validator(schema, registry=_NOTHING_REMOTE)
    try:
        with time_limit(LONGEST_SECONDS):
            error = next(validator.iter_errors(value), None)
    except TookTooLongError:
        return f"Applying {name} takes over {LONGEST_SECONDS:g} s; simplify the schema."
    except Exception as unusable:  # noqa: BLE001 - a user's schema may raise any error in the validator
        reason = str(unusable) or type(unusable).__name__
        return f"Applying {name} is not possible: {reason:.200}"
    return None if error is None else f"The answer does not match {name}: {error.message[:500]}"
