"""The base of resources in responses, with their links."""

from collections.abc import Callable, Mapping
from functools import cache
from string import Formatter
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.http.request_context import Call
from api.links import BASE

M = TypeVar("M", bound=BaseModel)


class Read(BaseModel):
    """Base of resources. Every one has `_links`, which are made from `paths` unless given."""

    model_config = ConfigDict(frozen=True)

    paths: ClassVar[Mapping[str, str]] = {}
    """Relations and their paths, with fields of the resource in braces."""

    links: dict[str, str] = Field(serialization_alias="_links")


def from_row(model: type[M], row: object, **values: Any) -> M:
    """Return a resource with these values, and with the attributes of the row for the rest."""
    fields = {f: getattr(row, f) for f in model.model_fields if f not in values and f != "links"}
    fields |= values
    if issubclass(model, Read) and "links" not in fields:
        fields["links"] = fill_paths(model.paths, fields)
    return model(**fields)


def view_of(model: type[M]) -> Callable[[Call, object], M]:
    """Return the view of a resource whose fields are all attributes of its row."""

    def view(_: Call, row: object) -> M:
        return from_row(model, row)

    return view


def fill_paths(paths: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the links of a resource, without those for which a field is None."""
    return {
        relation: BASE + path.format_map(fields)
        for relation, path in paths.items()
        if all(fields[name] is not None for name in _names(path))
    }


@cache
def _names(path: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(path) if name)
