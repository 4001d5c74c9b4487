"""What a finished execution came to."""

from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from agent.transcript import text_of
from domain.errors import ErrorCode
from domain.model_json import parsed
from domain.steps import Failure
from domain.time_limits import TookTooLongError, time_limit

LONGEST_SECONDS = 1.0
"""No other execution of this worker moves meanwhile, and a finished one is not failed for a moment
in which the machine was busy (chosen: real schemas take milliseconds)."""

# Empty: by default jsonschema fetches what a `$ref` names, over the network and from our files.
_NOTHING_REMOTE: Registry[Any] = Registry()


def result_of(
    blocks: Sequence[Mapping[str, Any]], output_schema: Mapping[str, Any] | None
) -> Mapping[str, Any] | Failure:
    """`{"text"}` of the last turn, and its `output` where the task asks for a shape."""
    text = text_of(blocks)
    if output_schema is None:
        return {"text": text}
    try:
        output = parsed(text)
    except ValueError:
        return Failure(ErrorCode.OUTPUT_INVALID, "The answer is not the JSON that was asked for.")
    problem = _problem(output, output_schema)
    if problem is not None:
        return Failure(ErrorCode.OUTPUT_INVALID, problem)
    return {"text": text, "output": output}


def _problem(output: Any, schema: Mapping[str, Any]) -> str | None:
    """How the output misses the schema, as a sentence; None where it fits."""
    validator = Draft202012Validator(schema, registry=_NOTHING_REMOTE)
    try:
        with time_limit(LONGEST_SECONDS):
            error = next(validator.iter_errors(output), None)
    except TookTooLongError:
        return f"To apply output_schema takes over {LONGEST_SECONDS:g} s; simplify it."
    except Exception as unusable:  # noqa: BLE001 - a user's schema may break the validator anyhow
        return (
            f"The output_schema can't be applied: {str(unusable) or type(unusable).__name__:.200}"
        )
    return None if error is None else f"The answer misses output_schema: {error.message[:500]}"
