"""Whether a tool input fits its schema, told so that the model can mend it."""

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from domain.engine_tools import ENGINE_TOOLS
from tools.specs import BUILTIN_TOOLS

_MESSAGE_CHARACTERS = 500
"""How much of the validator's message is told: it repeats the value, which may be long."""

_VALIDATORS = {
    name: Draft202012Validator(spec.input_schema)
    for name, spec in {**BUILTIN_TOOLS, **ENGINE_TOOLS}.items()
}


def input_problem(name: str, tool_input: object) -> str | None:
    """Why the input does not fit the tool, as a sentence for the model, or None."""
    validator = _VALIDATORS.get(name)
    if validator is None:
        return f"There is no tool named {name!r}. The tools are: {', '.join(_VALIDATORS)}."
    error = best_match(validator.iter_errors(tool_input))
    if error is None:
        return None
    field = ".".join(str(part) for part in error.absolute_path)
    message = error.message
    if len(message) > _MESSAGE_CHARACTERS:
        message = f"{message[:_MESSAGE_CHARACTERS]}…"
    return f"The input does not fit {name}{f', field {field}' if field else ''}: {message}."
