"""`?dry_run=true` where definitions are written: every rule is asked, and nothing is stored."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

DryRun = Annotated[
    bool,
    Query(
        description="Store nothing: answer 200 with what would be stored (its id is of nothing), "
        "or the refusal."
    ),
]


def created(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that makes something, with and without `dry_run`."""
    return {
        200: {"model": model, "description": "A dry run: it would be stored like this."},
        201: {"model": model},
    }
