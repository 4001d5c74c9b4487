"""Agents, tool groups, task templates, MCP servers and hooks.

Revision ID: 0002
Revises: 0001
"""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nothing yet."""
