"""PATCH requests: the changed resource is validated completely."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from domain.errors import FieldProblem, InvalidInputError
from services.field_types import Body
from services.validation_messages import sentence

M = TypeVar("M", bound=BaseModel)


def merged(model: type[M], current: Mapping[str, Any], update: Body, *, what: str) -> M:
    """The stored values with the fields of the update."""
    given = {field: getattr(update, field) for field in update.model_fields_set}
    return validated(model, {**current, **given}, f"The changed {what}")


def validated(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """Validate values that do not come directly from a request body."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = [FieldProblem(("body", *e["loc"]), sentence(e, model), e["type"]) for e in found]
        raise InvalidInputError(f"{what} is invalid; see errors.", problems) from error
