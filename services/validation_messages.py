"""What a validator found, in words for people: each says how to mend it."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel

from contracts.notifications import EMAIL, SECRET_REFERENCE
from domain.agents import SLUG
from domain.secrets import HOST, NAME

Location = tuple[str | int, ...]

_SHAPES = {
    r"\S": "Write something beside white space.",
    EMAIL: "Write one address, such as ada@example.com.",
    SLUG: "Use small letters and digits, with single - or _ between them.",
    rf"^{NAME}$": "Use small letters, digits, _, . and -; begin with a letter or a digit.",
    rf"^{HOST}$": "Write a host, such as api.example.com or *.example.com.",
    SECRET_REFERENCE: "Write secret://name, with the name of a secret of yours.",
}
"""What a pattern asks for. Others are short enough to be read as they are."""

_KINDS = {"model_type": "Write an object.", "tuple_type": "Write a list."}


def sentence(found: Any, model: type[BaseModel] | None = None) -> str:
    """The message of one of pydantic's errors; `model` is what `loc` leads through."""
    kind, loc = found["type"], found["loc"]
    if kind == "extra_forbidden":
        if model is None:
            return "There is no such parameter; leave it out."
        return _no_such_field(str(loc[-1]), _field_names(model, loc[:-1]))
    if kind == "string_pattern_mismatch":
        return _SHAPES.get(str(found["ctx"]["pattern"]), str(found["msg"]))
    if kind in {"too_short", "too_long"}:
        return str(found["msg"]).replace("Tuple", "The list").replace(" after validation", "")
    return _KINDS.get(kind, str(found["msg"]).removeprefix("Value error, "))


def _no_such_field(name: str, known: Sequence[str]) -> str:
    alike = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {alike[0]!r}?" if alike else "leave it out."
    return f"There is no such field; {hint}"


def _field_names(model: type[BaseModel], loc: Location) -> list[str]:
    """The fields of the model at `loc`, as far as it is made of models and lists of models."""
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
