"""Named lists of tool rules."""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from domain.tool_groups import GROUP
from persistence.tables.columns import NamedRow


class ToolGroupRow(NamedRow):
    """A user's list of tool rules, which tasks name as `group:NAME`."""

    KIND = "a tool group"
    __tablename__ = "tool_groups"
    __table_args__ = (
        Index("uq_tool_groups_user_id_name", "user_id", "name", unique=True),
        Index("ix_tool_groups_user_id_id", "user_id", "id"),
    )

    tools: Mapped[list[str]]

    @property
    def rule(self) -> str:
        """The rule that names this group in a task's lists of tools."""
        return GROUP + self.name
