"""Updates of resources: models derived from those that create them, and the changed whole."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, create_model

from domain.errors import InvalidInputError
from services.field_types import Body
from services.validation_messages import find_problems

M = TypeVar("M", bound=BaseModel)
U = TypeVar("U", bound=Body)


def partial_of(
    model: type[BaseModel], *, without: Collection[str] = ()
) -> Callable[[type[U]], type[U]]:
    """Give a class all fields of `model`, each of which may be left out.

    A field that is left out is None. Whether null is a valid value is checked on the changed
    resource as a whole (`merge_update`), so every field accepts it here.
    """

    def derive(cls: type[U]) -> type[U]:
        fields: dict[str, Any] = {
            name: (field.rebuild_annotation() | None, None)
            for name, field in model.model_fields.items()
            if name not in without
        }
        return create_model(
            cls.__name__, __base__=cls, __doc__=cls.__doc__, __module__=cls.__module__, **fields
        )

    return derive


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
