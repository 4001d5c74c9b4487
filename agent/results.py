"""What a finished execution came to."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from agent.transcript import text_of
from domain.errors import ErrorCode
from domain.steps import Failure


def result_of(
    blocks: Sequence[Mapping[str, Any]], output_schema: Mapping[str, Any] | None
) -> Mapping[str, Any] | Failure:
    """`{"text"}` of the last turn, and its `output` where the task asks for a shape."""
    text = text_of(blocks)
    if output_schema is None:
        return {"text": text}
    try:
        output = json.loads(text)
    except ValueError:
        return Failure(ErrorCode.OUTPUT_INVALID, "The answer is not the JSON that was asked for.")
    error = next(Draft202012Validator(output_schema).iter_errors(output), None)
    if error is not None:
        return Failure(
            ErrorCode.OUTPUT_INVALID, f"The answer misses output_schema: {error.message[:500]}"
        )
    return {"text": text, "output": output}
