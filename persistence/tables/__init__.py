"""The tables, one module per feature; importing this package registers all of them."""

from persistence.tables import (
    agents,
    api_keys,
    artifacts,
    audit,
    events,
    executions,
    hooks,
    idempotency,
    input_requests,
    mcp_servers,
    model_calls,
    notifications,
    outbox,
    prerequisites,
    reports,
    schedules,
    secrets,
    sessions,
    task_templates,
    tasks,
    tool_calls,
    tool_groups,
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
    "hooks",
    "idempotency",
    "input_requests",
    "mcp_servers",
    "metadata",
    "model_calls",
    "notifications",
    "outbox",
    "prerequisites",
    "reports",
    "schedules",
    "secrets",
    "sessions",
    "task_templates",
    "tasks",
    "tool_calls",
    "tool_groups",
    "users",
]
