"""Validation of, and with, JSON Schemas from users, on behalf of the caller."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.errors import FieldProblem
from domain.json_schemas import SchemaProblem
from services.unit_of_work import UnitOfWork
from services.validation_messages import Location


async def schema_problems(
    work: UnitOfWork, schema: Mapping[str, Any], loc: Location
) -> list[FieldProblem]:
    """Problems of a schema."""
    schemas = work.services.schemas
    return _make_problems(loc, await schemas.schema_problems(work.caller.user_id, schema))


async def value_problems(
    work: UnitOfWork, schema: Mapping[str, Any], value: Any, loc: Location
) -> list[FieldProblem]:
    """Problems of a value with a schema that was checked before.

    It is evaluated inside the transaction, which read the schema: an answer is compared with its
    request under the lock with which it is stored, and the variables of an execution with the
    version of the task that it pins. So a slow schema holds a connection, for as long as the
    limits of an evaluation and of a user allow.
    """
    schemas = work.services.schemas
    return _make_problems(loc, await schemas.value_problems(work.caller.user_id, schema, value))


def _make_problems(loc: Location, problems: Iterable[SchemaProblem]) -> list[FieldProblem]:
    return [FieldProblem((*loc, *found.path), found.msg, "json_schema") for found in problems]
