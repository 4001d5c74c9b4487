"""Checks of the inputs of tools."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from domain.rules.entries import WEB_TOOLS
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.engine import ENGINE_TOOLS
from domain.web.calls import HTTP_REQUEST, request_problems, url_problem

_MESSAGE_CHARACTERS = 500
"""Limit for the validator's message, which repeats the value (chosen)."""

_VALIDATORS = {
    name: Draft202012Validator(spec.input_schema)
    for name, spec in {**BUILTIN_TOOLS, **ENGINE_TOOLS}.items()
}


def input_problem(name: str, tool_input: object) -> str | None:
    """Why the input does not match the tool's schema, as a sentence for the model, or None."""
    validator = _VALIDATORS.get(name)
    if validator is None:
        return f"There is no tool named {name!r}. The tools are: {', '.join(_VALIDATORS)}."
    error = best_match(validator.iter_errors(tool_input))
    if error is None:
        return _web_problem(name, tool_input) if isinstance(tool_input, Mapping) else None
    field = ".".join(str(part) for part in error.absolute_path)
    message = error.message
    if len(message) > _MESSAGE_CHARACTERS:
        rule = f"{error.validator}: {error.validator_value!r}"[:_MESSAGE_CHARACTERS]
        message = f"{message[:_MESSAGE_CHARACTERS]}… (the schema says {rule})"
    return f"The input does not fit {name}{f', field {field}' if field else ''}: {message}."


def _web_problem(name: str, tool_input: Mapping[str, Any]) -> str | None:
    """What is wrong with a request that fits the schema."""
    if name not in WEB_TOOLS:
        return None
    problem = url_problem(tool_input)
    if problem is None and name == HTTP_REQUEST:
        problem = next(request_problems(tool_input), None)
    return problem
