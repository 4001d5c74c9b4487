"""The tables, one module per feature; importing this package registers all of them."""

from persistence.tables import (
    agents,
    api_keys,
    artifacts,
    audit,
    events,
    executions,
    idempotency,
    input_requests,
    model_calls,
    notifications,
    outbox,
    prerequisites,
    reports,
    schedules,
    secrets,
    sessions,
    tasks,
    tool_calls,
    users,
)
from persistence.tables.columns import Row

metadata = Row.metadata
"""Everything Alembic compares with the database."""

__all__ = [
    "Row",
    "agents",
    "api_keys",
    "artifacts",
    "audit",
    "events",
    "executions",
    "idempotency",
    "input_requests",
    "metadata",
    "model_calls",
    "notifications",
    "outbox",
    "prerequisites",
    "reports",
    "schedules",
    "secrets",
    "sessions",
    "tasks",
    "tool_calls",
    "users",
]
