"""JSON Schemas that come from outside: checked, and applied, without fetching anything."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from api.bodies import Location
from domain.errors import FieldProblem

SHOWN = 20
"""Problems of one value that are told (chosen)."""

# Empty, so that a `$ref` to another host is unresolvable instead of a request from our network.
_NOTHING_REMOTE: Registry[Any] = Registry()


def schema_problems(schema: dict[str, Any], loc: Location) -> Iterator[FieldProblem]:
    """What is wrong with a schema itself."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = (*loc, *error.absolute_path)
        yield FieldProblem(where, f"No JSON Schema: {error.message[:500]}", "json_schema")


def value_problems(schema: dict[str, Any], value: Any, loc: Location) -> Iterator[FieldProblem]:
    """Where a value differs from a schema that was checked before."""
    validator = Draft202012Validator(schema, registry=_NOTHING_REMOTE)
    try:
        errors = sorted(validator.iter_errors(value), key=lambda found: str(found.path))[:SHOWN]
    except (Unresolvable, RecursionError) as error:
        yield FieldProblem(loc, f"The schema can't be applied: {error!s:.200}", "json_schema")
        return
    for found in errors:
        yield FieldProblem((*loc, *found.absolute_path), found.message[:500], "json_schema")
