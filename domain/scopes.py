"""What credentials allow beyond the rights of their user."""

from enum import StrEnum


class Scope(StrEnum):
    """A right that credentials have only if they name it."""

    APPROVE = "approve"
    """API keys, and tools of the MCP server with any credentials, may decide with it everything
    that a person decides. Credentials of a model lack it, so that it can't approve its own calls.
    """
