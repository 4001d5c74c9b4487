"""The pages of one kind of definition: a list, and a form that creates, changes and deletes it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.paging import ListQuery
from api.http.resource_routes import path_key
from api.web import pages
from api.web.definitions import forms
from api.web.definitions.forms import Field, Section
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, make_body, status_for
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import InvalidInputError, PerdureError
from domain.people.nested_forms import Control
from persistence.definitions.dependents import Dependent
from services.caller import Caller
from services.unit_of_work import Precondition, UnitOfWork

LIMITS_FIELD = "limits"
"""In the form of a copy: the limits that the original has, which may be empty lists."""


class DefinitionStore(Protocol):
    """The verbs of one kind. `members` are the body in a form."""

    @property
    def fixed(self) -> Collection[str]:
        """Members that can't be changed later."""

    async def find(self, session: AsyncSession, caller: Caller, key: Any) -> Any:
        """Return a definition that the caller may read."""

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> Any:
        """Create a definition, and return its row."""

    async def update(
        self, work: UnitOfWork, key: Any, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Change a definition."""

    async def delete(self, work: UnitOfWork, key: Any) -> None:
        """Delete a definition."""

    async def dependents(self, work: UnitOfWork, row: Any) -> Sequence[Dependent]:
        """Return what names a definition."""


@dataclass(frozen=True, slots=True)
class ResourceStore:
    """Stores forms of a resource that has these bodies."""

    resource: Any
    create_model: type[BaseModel]
    update_model: type[BaseModel]

    @property
    def fixed(self) -> Collection[str]:
        """Members that can't be changed later: the body of an update does not have them."""
        return self.create_model.model_fields.keys() - self.update_model.model_fields.keys()

    async def find(self, session: AsyncSession, caller: Caller, key: Any) -> Any:
        """Return a definition (`DefinitionStore.find`)."""
        return await self.resource.find(session, caller, key)

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> Any:
        """Create a definition (`DefinitionStore.create`)."""
        return await self.resource.create(work, make_body(self.create_model, members))

    async def update(
        self, work: UnitOfWork, key: Any, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Change a definition (`DefinitionStore.update`)."""
        body = make_body(self.update_model, members)
        await self.resource.update(work, key, body, precondition)

    async def delete(self, work: UnitOfWork, key: Any) -> None:
        """Delete a definition (`DefinitionStore.delete`)."""
        await self.resource.delete(work, key, lambda _: None)

    async def dependents(self, work: UnitOfWork, row: Any) -> Sequence[Dependent]:
        """Return what names a definition (`DefinitionStore.dependents`)."""
        found: Sequence[Dependent] = await self.resource.dependents(work, row)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionPages:
    """The declaration of one kind. `texts` are its texts on the pages.

    `read_row` returns the fields of a stored definition, with secret values masked, and `new` those
    that the form of a new one contains. `facts` are shown below its name in the list, unless the
    kind has a list of its own (no `list_rows`). `base` is the object inside the body that errors
    may leave out. Only admins change it if it is `for_admins`. `copied` are the fields of the form
    that copies a definition.
    """

    path: str
    texts: Mapping[str, str]
    store: DefinitionStore
    model: type[BaseModel]
    sections: Sequence[Section]
    read_row: Callable[[Any], Mapping[str, Any]]
    key: str
    facts: Callable[[Any], Sequence[str]] = lambda _: ()
    list_rows: Callable[..., Any] | None = None
    key_kind: Any = UUID
    key_of: Callable[[Any], Any] = lambda row: row.id
    row_of: Callable[[Any], Any] = lambda found: found
    new: Mapping[str, Any] = field(default_factory=dict)
    copied: Callable[[Any], Mapping[str, Any]] | None = None
    base: str = ""
    for_admins: bool = False
    has_own_page: bool = False
    template: str = "definition.html.j2"

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        item = f"{self.path}/{{{self.key}}}"
        Key = Annotated[Any, Depends(path_key(self.key, self.key_kind))]  # noqa: N806 - a type

        async def new(visit: Visiting) -> Response:
            return await self._render(visit, None, Form())

        async def create(visit: Visiting, form: OwnForm) -> Response:
            return await self._save(visit, None, form)

        async def edit(visit: Visiting, key: Key) -> Response:
            return await self._render(visit, await self.find(visit, key), Form())

        async def update(visit: Visiting, key: Key, form: OwnForm) -> Response:
            return await self._save(visit, await self.find(visit, key), form)

        async def delete(visit: Visiting, key: Key) -> Response:
            await visit.perform(partial(self.store.delete, key=key))
            return pages.redirect(self.path)

        if (list_rows := self.list_rows) is not None:

            @router.get(self.path)
            async def list_definitions(request: Request, visit: Visiting) -> Response:
                return await self._list(request, visit, list_rows)

        router.get(f"{self.path}/new")(new)
        router.post(self.path)(create)
        if (make_copy := self.copied) is not None:

            @router.get(f"{item}/copy")
            async def copy(visit: Visiting, key: Key) -> Response:
                return await self._copy(visit, make_copy(self.row_of(await self.find(visit, key))))

        router.get(f"{item}/edit")(edit)
        router.post(f"{item}/edit")(update)
        router.post(f"{item}/delete", dependencies=[FORM_IS_OWN])(delete)

    async def find(self, visit: Visit, key: Any) -> Any:
        """The definition with this key, if the viewer may read it."""
        async with visit.call.gateway.database.reading() as session:
            return await self.store.find(session, visit.call.caller, key)

    def item(self, row: Any) -> str:
        """The address below which the pages of a definition are."""
        return f"{self.path}/{self.key_of(row)}"

    def address_of(self, row: Any) -> str:
        """The page of a definition: its own, or its form."""
        return self.item(row) if self.has_own_page else f"{self.item(row)}/edit"

    def _can_edit(self, visit: Visit, row: Any | None) -> bool:
        if self.for_admins:
            return visit.call.principal.is_admin
        return row is None or (not is_built_in(row) and visit.call.caller.owns(row.user_id))

    async def _copy(self, visit: Visit, copied: Mapping[str, Any]) -> Response:
        controls = [one for _, shown in self._make_sections(visit, None) for one in shown]
        entries = forms.fill(controls, copied)
        limits = [limit.name for limit in self._limits() if copied[limit.object_name] is not None]
        return await self._render(visit, None, Form({**entries, LIMITS_FIELD: limits}))

    async def _list(
        self, request: Request, visit: Visit, list_rows: Callable[..., Any]
    ) -> Response:
        query = read_query(request, ListQuery)
        async with visit.call.gateway.database.reading() as session:
            page = await list_rows(session, visit.call.caller, query.window())
        shown = make_list(visit, query, page, page.rows)
        return pages.render(
            "definitions.html.j2",
            **visit.layout,
            list=shown,
            pages=self,
            can_create=self._can_edit(visit, None),
        )

    async def _save(self, visit: Visit, found: Any | None, form: Form) -> Response:
        controls = [one for _, shown in self._make_sections(visit, found) for one in shown]
        try:
            form.require_sent()
            members = forms.read(controls, self.model, form)
            if found is None:
                self._set_limits(members, form.entries.get(LIMITS_FIELD, ()))
                created = await visit.perform(partial(self.store.create, members=members))
                return pages.redirect(self.address_of(created))
            row = self.row_of(found)
            members = self._keep_changed(controls, found, members)
            unchanged = partial(pages.require_unchanged, form.text("stored_at"))
            update = partial(self.store.update, members=members, precondition=unchanged)
            await visit.perform(partial(update, key=self.key_of(row)))
        except SHOWN_ERRORS as error:
            return await self._render(visit, found, form, error)
        return pages.redirect(self.address_of(row))

    def _keep_changed(
        self, controls: Sequence[Control], found: Any, members: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the person has changed; the rest stays as it is, even if no form can show it."""
        shown = Form(forms.fill(controls, self.read_row(found)))
        try:
            before = forms.read(controls, self.model, shown)
        except InvalidInputError:  # a required value is never shown, such as that of a secret
            return dict(members)
        changed = {
            name: value
            for name, value in members.items()
            if name not in before or value != before[name]
        }
        self._set_limits(changed, [limit.name for limit in self._limits()])
        return changed

    def _limits(self) -> Sequence[Field]:
        return [one for section in self.sections for one in section.fields if one.is_limit]

    def _set_limits(self, members: dict[str, Any], names: Collection[str]) -> None:
        """Make empty lists of these limits, which were filled in before and now are empty."""
        for limit in self._limits():
            if limit.name in names and members.get(limit.object_name, ...) is None:
                members[limit.object_name] = {limit.name.rpartition("/")[2]: []}

    def _make_sections(
        self, visit: Visit, found: Any | None
    ) -> Sequence[tuple[Section, Sequence[Control]]]:
        """The sections with the controls that the viewer can use."""
        is_admin = visit.call.principal.is_admin
        fixed = () if found is None else self.store.fixed
        shown = [
            [
                one
                for one in section.fields
                if one.name not in fixed and (is_admin or not one.is_for_admins)
            ]
            for section in self.sections
        ]
        made = [forms.make_controls(self.model, tuple(fields)) for fields in shown]
        return list(zip(self.sections, made, strict=True))

    async def _render(
        self, visit: Visit, found: Any | None, form: Form, error: PerdureError | None = None
    ) -> Response:
        sections = self._make_sections(visit, found)
        controls = [one for _, shown in sections for one in shown]
        row = None if found is None else self.row_of(found)
        shown = form_values(form, error)
        shown["errors"] = forms.place_errors(shown["errors"], controls, self.base)
        if not form.entries:
            stored = self.new if found is None else self.read_row(found)
            shown["typed"] = forms.fill(controls, stored)
        can_edit = self._can_edit(visit, row)
        named_by: Sequence[Dependent] = ()
        if row is not None and can_edit:
            named_by = await visit.perform(partial(self.store.dependents, row=row))
        return pages.render(
            self.template,
            status_for(error),
            **visit.layout,
            pages=self,
            row=row,
            sections=sections,
            can_edit=can_edit,
            is_built_in=row is not None and is_built_in(row),
            named_by=named_by,
            stored_at=pages.state_of(row) if row is not None and can_edit else "",
            **shown,
        )


def is_built_in(row: Any) -> bool:
    """Whether a definition is part of Perdure; then it has no owner."""
    return getattr(row, "user_id", row) is None
