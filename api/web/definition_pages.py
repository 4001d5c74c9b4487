"""The pages of one kind of definition: a list, and a form that creates, changes and deletes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from api.http.paging import ListQuery
from api.http.resource_routes import path_key
from api.web import definition_forms, pages
from api.web.definition_forms import Field
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import PerdureError
from persistence.definitions.dependents import Dependent
from services.definitions.resources import Resource
from services.unit_of_work import Precondition, UnitOfWork


class DefinitionStore(Protocol):
    """How a form is stored."""

    async def create(self, work: UnitOfWork, members: Mapping[str, Any]) -> Any:
        """Create a definition."""

    async def update(
        self, work: UnitOfWork, key: Any, members: Mapping[str, Any], precondition: Precondition
    ) -> Any:
        """Change a definition."""


@dataclass(frozen=True, slots=True)
class ResourceStore:
    """Stores forms of a resource that has these bodies."""

    resource: Any
    create_model: type[BaseModel]
    update_model: type[BaseModel]

    async def create(self, work: UnitOfWork, members: Mapping[str, Any]) -> Any:
        """Create a definition (`DefinitionStore.create`)."""
        return await self.resource.create(work, make_body(self.create_model, members))

    async def update(
        self, work: UnitOfWork, key: Any, members: Mapping[str, Any], precondition: Precondition
    ) -> Any:
        """Change a definition (`DefinitionStore.update`)."""
        body = make_body(self.update_model, members)
        return await self.resource.update(work, key, body, precondition)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionPages:
    """The declaration of one kind. `texts` are its texts on the pages.

    `read_row` returns the fields of a stored definition, with secret values masked. `facts` are
    shown below its name in the list. Only admins change it if it is `for_admins`.
    """

    path: str
    texts: Mapping[str, str]
    resource: Resource[Any]
    store: DefinitionStore
    model: type[BaseModel]
    fields: Sequence[Field]
    read_row: Callable[[Any], Mapping[str, Any]]
    facts: Callable[[Any], Sequence[str]]
    list_rows: Callable[..., Any]
    key: str
    key_kind: Any = UUID
    for_admins: bool = False
    template: str = "definition.html.j2"

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        item = f"{self.path}/{{{self.key}}}"
        Key = Annotated[Any, Depends(path_key(self.key, self.key_kind))]  # noqa: N806 - a type

        async def list_definitions(request: Request, visit: Visiting) -> Response:
            return await self._list(request, visit)

        async def new(visit: Visiting) -> Response:
            return await self._render(visit, None, Form())

        async def create(visit: Visiting, form: OwnForm) -> Response:
            return await self._save(visit, None, form)

        async def edit(visit: Visiting, key: Key) -> Response:
            return await self._render(visit, await self.find(visit, key), Form())

        async def update(visit: Visiting, key: Key, form: OwnForm) -> Response:
            return await self._save(visit, await self.find(visit, key), form)

        async def delete(visit: Visiting, key: Key) -> Response:
            await visit.perform(lambda work: self.resource.delete(work, key, lambda _: None))
            return pages.redirect(self.path)

        router.get(self.path)(list_definitions)
        router.get(f"{self.path}/new")(new)
        router.post(self.path)(create)
        router.get(f"{item}/edit")(edit)
        router.post(f"{item}/edit")(update)
        router.post(f"{item}/delete", dependencies=[FORM_IS_OWN])(delete)

    async def find(self, visit: Visit, key: Any) -> Any:
        """The definition with this key, if the viewer may read it."""
        async with visit.call.gateway.database.reading() as session:
            return await self.resource.find(session, visit.call.caller, key)

    def address_of(self, row: Any) -> str:
        """The page of a definition."""
        return f"{self.path}/{self._key_of(row)}/edit"

    def _key_of(self, row: Any) -> Any:
        return row.id if self.key_kind is UUID else row.name

    def _can_edit(self, visit: Visit, row: Any | None) -> bool:
        if self.for_admins:
            return visit.call.principal.is_admin
        return row is None or visit.call.caller.owns(row.user_id)

    async def _list(self, request: Request, visit: Visit) -> Response:
        query = read_query(request, ListQuery)
        async with visit.call.gateway.database.reading() as session:
            page = await self.list_rows(session, visit.call.caller, query.window())
        shown = make_list(visit, query, page, page.rows)
        return pages.render(
            "definitions.html.j2",
            **visit.layout,
            list=shown,
            pages=self,
            can_create=self._can_edit(visit, None),
        )

    async def _save(self, visit: Visit, row: Any | None, form: Form) -> Response:
        controls = self._controls(visit, row)
        try:
            form.require_sent()
            members = definition_forms.read(controls, self.model, form)
            if row is None:
                row = await visit.perform(partial(self.store.create, members=members))
            else:
                unchanged = partial(pages.require_unchanged, form.text("stored_at"))
                update = partial(self.store.update, members=members, precondition=unchanged)
                await visit.perform(partial(update, key=self._key_of(row)))
        except SHOWN_ERRORS as error:
            return await self._render(visit, row, form, error)
        return pages.redirect(self.path if row is None else self.address_of(row))

    def _controls(self, visit: Visit, row: Any | None) -> Any:
        fields = [
            field
            for field in self.fields
            if (row is None or not field.is_fixed)
            and (visit.call.principal.is_admin or not field.is_for_admins)
        ]
        return definition_forms.make_controls(self.model, fields)

    async def _render(
        self, visit: Visit, row: Any | None, form: Form, error: PerdureError | None = None
    ) -> Response:
        controls = self._controls(visit, row)
        shown = form_values(form, error)
        if row is not None and not form.entries:
            shown["typed"] = definition_forms.fill(controls, self.read_row(row))
        can_edit = self._can_edit(visit, row)
        named_by: Sequence[Dependent] = ()
        if row is not None and can_edit:
            named_by = await visit.perform(partial(self.resource.dependents, row=row))
        return pages.render(
            self.template,
            status_for(error),
            **visit.layout,
            pages=self,
            row=row,
            controls_of=controls,
            can_edit=can_edit,
            named_by=named_by,
            stored_at="" if row is None else pages.state_of(row),
            **shown,
        )
