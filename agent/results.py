"""Makes the result of a finished execution."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from agent.transcript import join_text
from domain.errors import ErrorCode
from domain.json_schemas import SchemaEvaluator
from domain.model_json import parse_json
from domain.steps import Failure


async def make_result(
    blocks: Sequence[Mapping[str, Any]],
    output_schema: Mapping[str, Any] | None,
    *,
    schemas: SchemaEvaluator,
    user_id: UUID,
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
    problems = await schemas.value_problems(user_id, output_schema, output)
    if problems:
        sentence = f"The answer does not match output_schema: {problems[0].msg}"
        return Failure(ErrorCode.OUTPUT_INVALID, sentence)
    return {"text": text, "output": output}
