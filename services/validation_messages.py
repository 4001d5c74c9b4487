"""Messages for validation errors; each explains how to fix the value."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from definitions.notifications import EMAIL, SECRET_REFERENCE
from domain.agents.agent import SLUG
from domain.errors import FieldProblem, InvalidInputError
from domain.ids import is_id
from domain.people.requests import VIEW_NAME
from domain.plans.plan import KEY
from domain.secrets import HOST, NAME

Location = tuple[str | int, ...]

_SHAPES = {
    r"\S": "Enter text that is not only white space.",
    EMAIL: "Enter one address, such as ada@example.com.",
    SLUG: "Use lower-case letters and digits, separated by single - or _ characters.",
    KEY: "Use letters, digits, _ and - only.",
    rf"^{NAME}$": "Use lower-case letters, digits, _, . and -; begin with a letter or a digit.",
    rf"^{HOST}$": "Enter a host name, such as api.example.com or *.example.com.",
    VIEW_NAME: "Enter a name in one line, without /, that does not begin with a dot or a space.",
    SECRET_REFERENCE: "Enter secret://name, with the name of one of your secrets.",
}
"""Explanations of patterns. The messages of other patterns are short enough."""

_NO_ID = "Enter an id, such as 019a3f52-7c1e-7d40-9b3a-5e8f0c2d6b17."

_KINDS = {
    "model_type": "Enter an object.",
    "tuple_type": "Enter a list.",
    "uuid_parsing": _NO_ID,
    "uuid_type": _NO_ID,
}


def body_problem(field: str, msg: str, kind: str = "value_error") -> FieldProblem:
    """Return what is wrong with a field of the body."""
    return FieldProblem(("body", field), msg, kind)


def refuse_field(detail: str, field: str, msg: str, kind: str = "value_error") -> InvalidInputError:
    """Return the refusal of a body with one invalid field."""
    return InvalidInputError(detail, [body_problem(field, msg, kind)])


def require_name(name: str, *, before: str | None = None) -> None:
    """Check a new name of something that commands and tools find by its name or id.

    A name that was stored `before` stays valid.

    Raises:
        InvalidInputError: it has the form of an id, so it would be taken for one.
    """
    if name != before and is_id(name):
        raise refuse_field(
            "The name is invalid; see errors.",
            "name",
            "Enter a name that does not have the form of an id: commands and tools that find this "
            "by its name or id would take the name for an id.",
        )


def find_problems(
    error: ValidationError, model: type[BaseModel], loc: Location, *, limit: int | None = None
) -> list[FieldProblem]:
    """Return what is wrong with a value at `loc`, at most `limit` problems."""
    found = error.errors(include_url=False, include_input=False)[:limit]
    return [FieldProblem((*loc, *e["loc"]), describe_error(e, model), e["type"]) for e in found]


def describe_error(found: Any, model: type[BaseModel] | None = None) -> str:
    """The message for a pydantic error; `model` is the model to which `loc` refers."""
    kind, loc = found["type"], found["loc"]
    if kind == "extra_forbidden":
        if model is None:
            return "This parameter does not exist; remove it."
        return _no_such_field(str(loc[-1]), _field_names(model, loc[:-1]))
    if kind == "string_pattern_mismatch":
        return _SHAPES.get(str(found["ctx"]["pattern"]), str(found["msg"]))
    if kind in {"too_short", "too_long"}:
        return str(found["msg"]).replace("Tuple", "The list").replace(" after validation", "")
    return _KINDS.get(kind, str(found["msg"]).removeprefix("Value error, "))


_ADVICE = {
    "mcpServers": "register each of the servers in it by itself.",
    "_comment": "leave it out, or use description.",
}
"""What to do with fields of other programs' files."""


def _no_such_field(name: str, known: Sequence[str]) -> str:
    if name in _ADVICE and name not in known:
        return f"This field does not exist; {_ADVICE[name]}"
    alike = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {alike[0]!r}?" if alike else "remove it."
    return f"This field does not exist; {hint}"


def _field_names(model: type[BaseModel], loc: Location) -> list[str]:
    """The field names of the model at `loc`, through nested models and lists."""
    for step in loc:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
