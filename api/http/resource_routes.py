"""The routes of a resource, made from the functions of its service.

routes = ResourceRoutes(router, "task", TaskRead, render_task, "/{task_id}", path_key("task_id"))
routes.add_create(create_task, TaskCreate, "Create a task.")
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ResourceQuery
from api.http.rendering import (
    DryRun,
    View,
    created_responses,
    deleted_responses,
    if_match,
    render_changed,
    render_created,
    render_deleted,
    render_page,
)
from api.http.request_context import Called
from api.http.responses import single
from api.http.schemas import Read
from persistence.db.paging import Page, Window
from persistence.definitions import dependents
from persistence.definitions.dependents import Dependent
from services.caller import Caller
from services.unit_of_work import UnitOfWork

T = TypeVar("T")

ListRows = Callable[[AsyncSession, Caller, Window], Awaitable[Page[Any]]]


def path_key(name: str, kind: Any = UUID) -> Callable[..., Awaitable[Any]]:
    """Return the dependency that reads the key of a resource from the path."""

    async def key(value: Annotated[kind, Path(alias=name)]) -> Any:
        return value

    return key


@dataclass(frozen=True, slots=True)
class ResourceRoutes(Generic[T]):
    """Adds the routes of one resource to a router, each with its description."""

    router: APIRouter
    entity: str
    """Its name in the names of operations, such as `tool_group`."""
    read_model: type[Read]
    view: View[T]
    item_path: str
    """The path of one resource below the router's prefix, such as `/{group_id}`."""
    key: Callable[..., Awaitable[Any]]
    """The dependency that reads the key from the path."""

    def add_list(self, list_rows: ListRows, description: str) -> None:
        """Add `GET` of a page of resources."""

        async def list_resources(
            call: Called, query: Annotated[ResourceQuery, Query()]
        ) -> Response:
            async with call.gateway.database.reading() as session:
                page = await list_rows(session, call.caller, query.window())
            return render_page(call, query, page, self.view)

        self.router.get(
            "",
            responses={200: {"model": Listing[self.read_model]}},  # type: ignore[name-defined]  # a model made at run time
            name=f"list_{self.entity}s",
            description=description,
        )(list_resources)

    def add_get(
        self, find: Callable[[AsyncSession, Caller, Any], Awaitable[T]], description: str
    ) -> None:
        """Add `GET` of one resource, which `find` reads by its key."""

        async def get(call: Called, key: Annotated[Any, Depends(self.key)]) -> Response:
            async with call.gateway.database.reading() as session:
                row = await find(session, call.caller, key)
            return single(call.request, self.view(call, row))

        self.router.get(
            self.item_path,
            responses={200: {"model": self.read_model}},
            name=f"get_{self.entity}",
            description=description,
        )(get)

    def add_create(
        self, create: Callable[..., Awaitable[T]], model: type[BaseModel], description: str
    ) -> None:
        """Add `POST` of a new resource; `create` takes the unit of work and the body."""

        async def post(
            call: Called, body: Annotated[Any, Depends(JsonBody(model))], *, dry_run: DryRun = False
        ) -> Response:
            service = partial(create, body=body)
            return await run_service(call, service, render_created(self.view), dry_run=dry_run)

        self.router.post(
            "",
            status_code=201,
            responses=created_responses(self.read_model),
            name=f"create_{self.entity}",
            description=description,
        )(post)

    def add_update(
        self, update: Callable[..., Awaitable[T]], model: type[BaseModel], description: str
    ) -> None:
        """Add `PATCH` of one resource; `update` takes the key, the changes and a precondition."""

        async def patch(
            call: Called,
            key: Annotated[Any, Depends(self.key)],
            body: Annotated[Any, Depends(JsonBody(model))],
            *,
            dry_run: DryRun = False,
        ) -> Response:
            check = if_match(call, self.view)

            async def service(work: UnitOfWork) -> T:
                return await update(work, key, body, check)

            return await run_service(call, service, render_changed(self.view), dry_run=dry_run)

        self.router.patch(
            self.item_path,
            responses={200: {"model": self.read_model}},
            name=f"update_{self.entity}",
            description=description,
        )(patch)

    def add_delete(
        self,
        delete: Callable[..., Awaitable[Sequence[Dependent] | None]],
        description: str,
        *,
        verb: str = "delete",
    ) -> None:
        """Add `DELETE` of one resource; `delete` takes the key and a precondition."""

        async def remove(call: Called, key: Annotated[Any, Depends(self.key)]) -> Response:
            check = if_match(call, self.view)

            async def service(work: UnitOfWork) -> Sequence[Dependent] | None:
                return await delete(work, key, check)

            return await run_service(call, service, render_deleted)

        self.router.delete(
            self.item_path,
            status_code=204,
            responses=deleted_responses if self.entity in dependents.KINDS else {},
            name=f"{verb}_{self.entity}",
            description=description,
        )(remove)
