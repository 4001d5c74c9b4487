"""The tables, one module per group of aggregates; importing this package registers all of them."""

from persistence.tables import (
    definitions,
    executions,
    ledger,
    memory,
    people,
    plans,
    sessions,
    workspaces,
)
from persistence.tables.columns import Row

metadata = Row.metadata
"""Everything that Alembic compares with the database."""

__all__ = [
    "Row",
    "definitions",
    "executions",
    "ledger",
    "memory",
    "metadata",
    "people",
    "plans",
    "sessions",
    "workspaces",
]
