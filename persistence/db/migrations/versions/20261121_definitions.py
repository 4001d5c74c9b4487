"""Agents, tool groups, task templates, MCP servers and hooks.

Revision ID: 0002
Revises: 0001
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("allowed_tools", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("tags", sa.JSON(none_as_null=True), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_agents_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_index("uq_agents_user_id_slug", "agents", ["user_id", "slug"], unique=True)
    op.create_index("ix_agents_user_id_id", "agents", ["user_id", "id"], unique=False)

    op.create_table(
        "hooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        _now("created_at"),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_hooks_task_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_hooks_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
    )
    op.create_index("uq_hooks_token_sha256", "hooks", ["token_sha256"], unique=True)
    op.create_index("ix_hooks_task_id_id", "hooks", ["task_id", "id"], unique=False)
    _create_tool_groups()
    _create_task_templates()
    _create_mcp_servers()


def downgrade() -> None:
    op.drop_column("tasks", "spelled_tools")
    for table in ("mcp_servers", "task_templates", "tool_groups", "hooks", "agents"):
        op.drop_table(table)


def _create_tool_groups() -> None:
    op.create_table(
        "tool_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("tools", sa.JSON(none_as_null=True), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tool_groups_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_groups")),
    )
    op.create_index("uq_tool_groups_user_id_name", "tool_groups", ["user_id", "name"], unique=True)
    op.create_index("ix_tool_groups_user_id_id", "tool_groups", ["user_id", "id"], unique=False)
    op.add_column("tasks", sa.Column("spelled_tools", sa.JSON(none_as_null=True), nullable=True))


def _create_task_templates() -> None:
    op.create_table(
        "task_templates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("task", sa.JSON(none_as_null=True), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_task_templates_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_templates")),
    )
    op.create_index(
        "uq_task_templates_user_id_name", "task_templates", ["user_id", "name"], unique=True
    )
    op.create_index(
        "ix_task_templates_user_id_id", "task_templates", ["user_id", "id"], unique=False
    )
    op.create_index(
        "ix_task_templates_public",
        "task_templates",
        ["id"],
        unique=False,
        postgresql_where=sa.text("is_public"),
    )


def _create_mcp_servers() -> None:
    op.create_table(
        "mcp_servers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("command", sa.Text(), nullable=True),
        sa.Column("args", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("headers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("env", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("health", sa.JSON(none_as_null=True), nullable=True),
        _now("created_at"),
        _now("updated_at"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mcp_servers_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mcp_servers")),
    )
    op.create_index("uq_mcp_servers_user_id_name", "mcp_servers", ["user_id", "name"], unique=True)
    op.create_index("ix_mcp_servers_user_id_id", "mcp_servers", ["user_id", "id"], unique=False)
    op.create_index(
        "ix_mcp_servers_public",
        "mcp_servers",
        ["id"],
        unique=False,
        postgresql_where=sa.text("is_public"),
    )


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )
