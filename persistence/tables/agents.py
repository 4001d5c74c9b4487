"""Users' own agents."""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from persistence.tables.columns import CreatedAt, OwnedRow


class AgentRow(OwnedRow):
    """An agent of a user's own. `slug` is the wire's `agent_id`; it never changes."""

    __tablename__ = "agents"
    __table_args__ = (
        Index("uq_agents_user_id_slug", "user_id", "slug", unique=True),
        Index("ix_agents_user_id_id", "user_id", "id"),
    )

    slug: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    system_prompt: Mapped[str]
    model: Mapped[str | None]
    allowed_tools: Mapped[list[str]]
    executor: Mapped[str]
    capabilities: Mapped[list[str]]
    tags: Mapped[list[str]]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
