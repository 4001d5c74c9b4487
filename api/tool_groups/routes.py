"""Routes of tool groups: named lists of tool rules."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.http.resource_routes import ResourceRoutes, path_key
from api.http.schemas import Read, view_of
from api.links import BASE
from services.definitions.inputs import ToolGroupCreate, ToolGroupUpdate
from services.definitions.tool_groups import TOOL_GROUPS


class ToolGroupRead(Read):
    """A list of tool rules."""

    paths = {"self": "/tool-groups/{id}"}

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    tools: list[str]
    rule: Annotated[str, Field(description="What to write in a task's lists of tools.")]
    created_at: datetime
    updated_at: datetime


router = APIRouter(prefix=f"{BASE}/tool-groups", tags=["tool groups"])


routes = ResourceRoutes(
    router, "tool_group", ToolGroupRead, view_of(ToolGroupRead), "/{group_id}", path_key("group_id")
)
routes.add_create(
    TOOL_GROUPS.create, ToolGroupCreate, "Create a tool group: a list of tool rules under a name."
)
routes.add_list(TOOL_GROUPS.page, "List your tool groups, newest first.")
routes.add_get(TOOL_GROUPS.find, "Get a tool group.")
routes.add_update(
    TOOL_GROUPS.update,
    ToolGroupUpdate,
    "Change a tool group. Tasks keep the rules that they have until their lists are written again.",
)
routes.add_delete(TOOL_GROUPS.delete, "Delete a tool group. Tasks that name it keep its rules.")
