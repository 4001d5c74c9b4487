"""Bodies of PATCH requests, derived from the bodies that create the same resources."""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from pydantic import BaseModel, create_model

from services.field_types import Body

U = TypeVar("U", bound=Body)


def partial_of(
    model: type[BaseModel], *, without: Collection[str] = ()
) -> Callable[[type[U]], type[U]]:
    """Give a class all fields of `model`, each of which may be left out.

    A field that is left out is None. Whether null is a valid value is checked on the changed
    resource as a whole (`services.definitions.merging`), so every field accepts it here.
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
