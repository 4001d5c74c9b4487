"""Routes of groups: admins define them, all users see whom they can assign a request to."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from api.http.resource_routes import ResourceRoutes, path_key
from api.http.schemas import Read, view_of
from api.links import BASE
from services.identity.groups import GROUPS, GroupCreate, GroupUpdate, WorkingHoursBody


class GroupRead(Read):
    """A group of users. Assign a request to it as `group:NAME`."""

    paths = {"self": "/groups/{id}"}

    id: UUID
    name: str
    description: str | None
    members: Annotated[
        list[str],
        Field(description="Users by their `sub`; others belong to it by a claim of their token."),
    ]
    working_hours: WorkingHoursBody | None
    created_at: datetime
    updated_at: datetime


router = APIRouter(prefix=f"{BASE}/groups", tags=["input requests"])
routes = ResourceRoutes(
    router, "group", GroupRead, view_of(GroupRead), "/{group_id}", path_key("group_id")
)
routes.add_list(GROUPS.page, "List all groups, newest first.")
routes.add_get(GROUPS.find, "Get a group.")
routes.add_create(GROUPS.create, GroupCreate, "Create a group. Requires the admin role.")
routes.add_update(GROUPS.update, GroupUpdate, "Change a group. Requires the admin role.")
routes.add_delete(
    GROUPS.delete,
    "Delete a group to which no open request is assigned. Requires the admin role.",
)
