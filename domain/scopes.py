"""What credentials allow beyond the rights of their user."""

from enum import StrEnum


class Scope(StrEnum):
    """A right that credentials have only if they name it."""

    APPROVE = "approve"
    """Tools of the MCP server may approve with it, and decide everything that a person decides.
    Credentials of a model lack it, so that the model can't approve its own calls."""
