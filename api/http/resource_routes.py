"""The routes of a resource, made from its declaration in `services`.

routes = EditableResourceRoutes(
    router, TOOL_GROUPS, ToolGroupRead, render_tool_group, "/{group_id}", group_key
)
routes.add_create("Create a tool group.")
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.dry_run import DryRun, created_responses
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.rendering import View, changed, created, if_match, no_content, render_page
from api.http.request_context import Called
from api.http.responses import single
from api.http.schemas import Read
from persistence.db.paging import Page, Window
from persistence.tables.columns import OwnedRow
from services.caller import Caller
from services.definitions.resources import (
    EditableResource,
    Resource,
    create_resource,
    delete_resource,
    update_resource,
)

R = TypeVar("R", bound=OwnedRow)

ListRows = Callable[[AsyncSession, Caller, Window], Awaitable[Page[R]]]


@dataclass(frozen=True, slots=True)
class ResourceRoutes(Generic[R]):
    """Adds the routes of one resource to a router, each with its description."""

    router: APIRouter
    resource: Resource[R]
    read_model: type[Read]
    view: View[R]
    item_path: str
    """The path of one resource below the router's prefix, such as `/{group_id}`."""
    key: Callable[..., Awaitable[Any]]
    """The dependency that reads the key from the path."""

    def add_list(self, list_rows: ListRows[R], description: str) -> None:
        """Add `GET` of a page of resources."""

        async def list_resources(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
            async with call.gateway.database.reading() as session:
                page = await list_rows(session, call.caller, query.window())
            return render_page(call, query, page, self.view)

        self.router.get(
            "",
            responses={200: {"model": Listing[self.read_model]}},  # type: ignore[name-defined]  # a model made at run time
            name=f"list_{self.resource.entity}s",
            description=description,
        )(list_resources)

    def add_get(self, description: str) -> None:
        """Add `GET` of one resource."""

        async def get(call: Called, key: Annotated[Any, Depends(self.key)]) -> Response:
            async with call.gateway.database.reading() as session:
                row = await self.resource.find(session, call.caller, key)
            return single(call.request, self.view(call, row))

        self.router.get(
            self.item_path,
            responses={200: {"model": self.read_model}},
            name=f"get_{self.resource.entity}",
            description=description,
        )(get)

    def add_delete(self, description: str) -> None:
        """Add `DELETE` of one resource."""

        async def delete(call: Called, key: Annotated[Any, Depends(self.key)]) -> Response:
            check = if_match(call, self.view)
            service = partial(delete_resource, resource=self.resource, key=key, precondition=check)
            return await run_service(call, service, no_content)

        self.router.delete(
            self.item_path,
            status_code=204,
            name=f"{self.resource.delete_verb}_{self.resource.entity}",
            description=description,
        )(delete)


@dataclass(frozen=True, slots=True)
class EditableResourceRoutes(ResourceRoutes[R]):
    """Adds also the routes that create and change the resource."""

    resource: EditableResource[R, Any]

    def add_create(self, description: str) -> None:
        """Add `POST` of a new resource."""

        async def create(
            call: Called,
            body: Annotated[Any, Depends(JsonBody(self.resource.create_model))],
            *,
            dry_run: DryRun = False,
        ) -> Response:
            service = partial(create_resource, resource=self.resource, body=body)
            return await run_service(call, service, created(self.view), dry_run=dry_run)

        self.router.post(
            "",
            status_code=201,
            responses=created_responses(self.read_model),
            name=f"create_{self.resource.entity}",
            description=description,
        )(create)

    def add_update(self, description: str) -> None:
        """Add `PATCH` of one resource."""

        async def update(
            call: Called,
            key: Annotated[Any, Depends(self.key)],
            body: Annotated[Any, Depends(JsonBody(self.resource.update_model))],
            *,
            dry_run: DryRun = False,
        ) -> Response:
            check = if_match(call, self.view)
            service = partial(
                update_resource, resource=self.resource, key=key, update=body, precondition=check
            )
            return await run_service(call, service, changed(self.view), dry_run=dry_run)

        self.router.patch(
            self.item_path,
            responses={200: {"model": self.read_model}},
            name=f"update_{self.resource.entity}",
            description=description,
        )(update)
