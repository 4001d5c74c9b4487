"""Makes the result of a finished execution."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from agent.transcript import join_text
from domain.errors import ErrorCode
from domain.executions.steps import Failure
from domain.json_schemas import SchemaEvaluator
from domain.model.json_values import make_encodable, parse_json

_AROUND_JSON = "\ufeff \t\r\n"
_FENCE = re.compile(r"[ \t]*(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")


async def make_result(
    blocks: Sequence[Mapping[str, Any]],
    output_schema: Mapping[str, Any] | None,
    *,
    schemas: SchemaEvaluator,
    user_id: UUID,
) -> Mapping[str, Any] | Failure:
    """`{"text"}` of the last answer with text, with its `output` if the task has an output_schema.

    Without any text there is no result, because callers could not distinguish it from a good one.
    """
    text = join_text(blocks)
    if not text.strip():
        return Failure(ErrorCode.EMPTY_ANSWER, "The model ended its turn and never wrote any text.")
    if output_schema is None:
        return {"text": text}
    try:
        output = make_encodable(parse_output(text))
    except ValueError:
        return Failure(
            ErrorCode.OUTPUT_INVALID, "The answer is not JSON, as output_schema requires."
        )
    problems = await schemas.value_problems(user_id, output_schema, output)
    if problems:
        sentence = f"The answer does not match output_schema: {problems[0].msg}"
        return Failure(ErrorCode.OUTPUT_INVALID, sentence)
    return {"text": text, "output": output}


def parse_output(text: str) -> Any:
    """Parse an answer that is JSON, or that contains exactly one fenced block of JSON.

    Raises:
        ValueError: it is neither.
    """
    try:
        return parse_json(text.strip(_AROUND_JSON))
    except ValueError:
        fenced = _find_fenced_json(text)
        if len(fenced) != 1:
            raise
        return parse_json(fenced[0].strip(_AROUND_JSON))


def _find_fenced_json(text: str) -> list[str]:
    """The content of all closed blocks that are marked as JSON, or not marked."""
    found = []
    content: list[str] = []
    opening: re.Match[str] | None = None
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip())
        if opening is None:
            opening, content = fence, []
        elif fence and fence["fence"].startswith(opening["fence"]) and not fence["info"]:
            if opening["info"].strip().lower() in ("", "json"):
                found.append("\n".join(content))
            opening = None
        else:
            content.append(line)
    return found
