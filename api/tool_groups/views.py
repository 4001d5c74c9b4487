"""Tool groups, from rows to what clients read."""

from api import links
from api.http.rendering import from_row
from api.http.request_context import Call
from api.tool_groups.schemas import ToolGroupRead
from domain.tool_groups import GROUP
from persistence.tables.tool_groups import ToolGroupRow


def render_tool_group(_: Call, row: ToolGroupRow) -> ToolGroupRead:
    """Return a tool group as clients read it."""
    path = links.one("tool-groups", row.id)
    return from_row(ToolGroupRead, row, rule=GROUP + row.name, links=path)
