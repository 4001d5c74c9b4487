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
    problem = _problem(output, output_schema)
    if problem is not None:
        return Failure(ErrorCode.OUTPUT_INVALID, problem)
    return {"text": text, "output": output}


def _problem(output: Any, schema: Mapping[str, Any]) -> str | None:
    """Why the output does not match the schema, as a sentence, or None."""
    validator = Draft202012Validator(schema, registry=_NOTHING_REMOTE)
    try:
        with time_limit(LONGEST_SECONDS):
            error = next(validator.iter_errors(output), None)
    except TookTooLongError:
        return f"Applying output_schema takes over {LONGEST_SECONDS:g} s; simplify the schema."
    except Exception as unusable:  # noqa: BLE001 - a user's schema may raise any error in the validator
        return (
            f"The output_schema can't be applied: {str(unusable) or type(unusable).__name__:.200}"
        )
    return (
        None if error is None else f"The answer does not match output_schema: {error.message[:500]}"
    )
