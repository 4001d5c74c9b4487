"""`?dry_run=true` for definitions: checks every rule and stores nothing."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

DryRun = Annotated[
    bool,
    Query(
        description="Validate the request without storing anything. Returns 200 with the object "
        "that would be stored (its id is not used), or the error."
    ),
]


def created_responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that creates an object, with and without `dry_run`."""
    return {
        200: {"model": model, "description": "Dry run: the object that would be stored."},
        201: {"model": model},
    }
