"""Validation of, and with, JSON Schemas from users, without network requests.

A schema can take years to evaluate, or crash the validator where a check of the schema does not
look (behind a `$ref`). Neither may block the gateway or cause an internal error.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry

from domain.errors import FieldProblem
from domain.time_limits import TookTooLongError, time_limit
from services.validation_messages import Location

SHOWN = 20
"""Maximum number of reported problems per value (chosen)."""

LONGEST_SECONDS = 0.25
"""Other requests wait during this time; real schemas take a hundredth of it (chosen)."""

TOO_LONG = f"The schema takes over {LONGEST_SECONDS} s; simplify its patterns and references."

# Empty, so that a `$ref` to another host is an error instead of a request from our network.
_NOTHING_REMOTE: Registry[Any] = Registry()


def schema_problems(schema: dict[str, Any], loc: Location) -> Iterator[FieldProblem]:
    """Problems of a schema."""
    try:
        with time_limit(LONGEST_SECONDS):
            Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = (*loc, *error.absolute_path)
        yield FieldProblem(where, f"Invalid JSON Schema: {error.message[:500]}", "json_schema")
    except TookTooLongError:
        yield FieldProblem(loc, TOO_LONG, "json_schema")
    except Exception as error:  # noqa: BLE001 - the schema caused it
        yield FieldProblem(loc, _inapplicable(error), "json_schema")


def value_problems(schema: dict[str, Any], value: Any, loc: Location) -> Iterator[FieldProblem]:
    """Problems of a value with a schema that was checked before."""
    validator = Draft202012Validator(schema, registry=_NOTHING_REMOTE)
    try:
        with time_limit(LONGEST_SECONDS):
            errors = sorted(validator.iter_errors(value), key=lambda found: str(found.path))[:SHOWN]
    except TookTooLongError:
        yield FieldProblem(loc, TOO_LONG, "json_schema")
        return
    except Exception as error:  # noqa: BLE001 - see above
        yield FieldProblem(loc, _inapplicable(error), "json_schema")
        return
    for found in errors:
        yield FieldProblem((*loc, *found.absolute_path), found.message[:500], "json_schema")


def _inapplicable(error: Exception) -> str:
    return f"The schema cannot be evaluated: {str(error) or type(error).__name__:.200}"
