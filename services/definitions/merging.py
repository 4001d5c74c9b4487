"""PATCH requests: the changed resource is validated completely."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from domain.errors import InvalidInputError
from services.field_types import Body
from services.validation_messages import find_problems

M = TypeVar("M", bound=BaseModel)


def merge_update(model: type[M], current: Mapping[str, Any], update: Body, *, what: str) -> M:
    """The stored values with the fields of the update."""
    given = {field: getattr(update, field) for field in update.model_fields_set}
    return validate_fields(model, {**current, **given}, f"The changed {what}")


def validate_fields(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """Validate values that do not come directly from a request body."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = find_problems(error, model, ("body",))
        raise InvalidInputError(f"{what} is invalid; see errors.", problems) from error
