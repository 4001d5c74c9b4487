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
    """Problems of a value with a schema that was checked before."""
    schemas = work.services.schemas
    return _make_problems(loc, await schemas.value_problems(work.caller.user_id, schema, value))


def _make_problems(loc: Location, problems: Iterable[SchemaProblem]) -> list[FieldProblem]:
    return [FieldProblem((*loc, *found.path), found.msg, "json_schema") for found in problems]
