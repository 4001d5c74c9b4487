"""Routes of tool groups: named lists of tool rules."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.http.resource_routes import EditableResourceRoutes
from api.http.schemas import Read, view_of
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


router = APIRouter(prefix="/tool-groups", tags=["tool groups"])


async def _key(group_id: UUID) -> UUID:
    return group_id


routes = EditableResourceRoutes(
    router, TOOL_GROUPS, ToolGroupRead, view_of(ToolGroupRead), "/{group_id}", _key
)
routes.add_create("Create a tool group: a list of tool rules under a name.")
routes.add_list(TOOL_GROUPS.page, "List your tool groups, newest first.")
routes.add_get("Get a tool group.")
routes.add_update(
    "Change a tool group. Tasks keep the rules that they have until their lists are written again."
)
routes.add_delete("Delete a tool group. Tasks that name it keep its rules.")
