"""API keys and quotas.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Users can be disabled and limited, have API keys, and are assigned others' requests."""
    op.add_column("users", sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("max_concurrent_executions", sa.Integer(), nullable=True))
    op.add_column("users", sa.Column("max_usd_per_day", sa.Numeric(18, 6), nullable=True))
    op.create_index("ix_users_role_id", "users", ["role", "id"])
    op.create_index(
        "ix_users_disabled",
        "users",
        ["id"],
        postgresql_where=sa.text("disabled_at IS NOT NULL"),
    )
    _create_api_keys()
    op.create_index(
        "ix_input_requests_assignee_status_id",
        "input_requests",
        ["assignee", "status", "id"],
        postgresql_where=sa.text("assignee IS NOT NULL"),
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    live = sa.text("revoked_at IS NULL")
    op.create_index("ix_api_keys_user_id_id", "api_keys", ["user_id", "id"], postgresql_where=live)
    op.create_index(
        "uq_api_keys_user_id_name_live",
        "api_keys",
        ["user_id", "name"],
        unique=True,
        postgresql_where=live,
    )
    op.create_index("uq_api_keys_sha256", "api_keys", ["sha256"], unique=True)


def downgrade() -> None:
    """Forget keys, quotas and who is disabled."""
    op.drop_index("ix_input_requests_assignee_status_id", table_name="input_requests")
    op.drop_table("api_keys")
    op.drop_index("ix_users_disabled", table_name="users")
    op.drop_index("ix_users_role_id", table_name="users")
    for column in ("max_usd_per_day", "max_concurrent_executions", "disabled_at"):
        op.drop_column("users", column)
