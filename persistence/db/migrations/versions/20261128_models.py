"""What the Models API answered about the lifecycles of models.

Revision ID: 20261128_models
Revises: 20261128_watched
"""

from alembic import op

revision = "20261128_models"
down_revision = "20261128_watched"


def upgrade() -> None:
    """Create the table; a worker fills it."""
    op.execute("""
        CREATE TABLE model_lifecycles (
            model text NOT NULL,
            is_retired boolean NOT NULL,
            retires_on date,
            read_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_model_lifecycles PRIMARY KEY (model)
        )
    """)
