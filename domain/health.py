"""The states of what a deployment needs, as `/health/ready` reports them."""

from enum import StrEnum


class ComponentState(StrEnum):
    """The state of the database, of its schema, of Temporal or of the workers."""

    OK = "ok"
    DEGRADED = "degraded"
    """Temporal does not answer: requests are stored, and executions start later."""
    READ_ONLY = "read_only"
    """The database accepts no writes, also if its disk is full."""
    OUTDATED = "outdated"
    """The schema is not that of this version."""
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    """It could not be checked, because the database is unavailable or outdated."""
