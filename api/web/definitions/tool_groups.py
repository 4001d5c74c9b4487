"""Pages of tool groups."""

from fastapi import APIRouter

from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages, ResourceStore
from api.web.page_route import PageRoute
from reports.phrases import count_of
from services.definitions.inputs import (
    ToolGroupCreate,
    ToolGroupUpdate,
)
from services.definitions.tool_groups import TOOL_GROUPS

router = APIRouter(include_in_schema=False, route_class=PageRoute)


TOOL_GROUP_PAGES = DefinitionPages(
    path="/tool-groups",
    texts={
        "title": "Tool groups",
        "noun": "tool group",
        "lead": "Lists of tool rules under a name. A task names one as group:NAME in its lists of "
        "tools, and gets the rules that the group has then.",
        "empty": "Collect rules that several tasks need, such as bash(git status) and "
        "mcp__github__search.",
        "delete": "Tasks keep the rules that they have, until their lists are changed.",
    },
    store=ResourceStore(TOOL_GROUPS, ToolGroupCreate, ToolGroupUpdate),
    model=ToolGroupCreate,
    sections=(
        Section(
            "",
            (
                Field("name", hint="Lowercase letters, digits and dashes.", is_short=True),
                Field("description", is_short=True),
                Field("tools", hint="Rules such as read_file or bash(git status)."),
            ),
        ),
    ),
    read_row=TOOL_GROUPS.body_fields,
    facts=lambda row: [f"group:{row.name}", count_of(len(row.tools), "rule")],
    list_rows=TOOL_GROUPS.page,
    key="tool_group_id",
)


TOOL_GROUP_PAGES.add_to(router)
