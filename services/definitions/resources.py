"""Generic services: create, change and delete what users define, from one declaration per kind.

A subclass of `Resource` declares one kind: its rows, its name in messages and in the audit log, and
its rules. The verbs run with permission, precondition and audit.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError
from domain.ids import new_id
from persistence.db.paging import Page, Window
from persistence.definitions import named_resources
from persistence.definitions.dependents import Dependent
from persistence.tables.columns import NamedRow, OwnedRow, PrivateRow
from services.caller import Caller, missing
from services.definitions.updates import merge_update
from services.field_types import Body
from services.unit_of_work import Precondition, UnitOfWork
from services.validation_messages import require_name

R = TypeVar("R", bound=OwnedRow)
N = TypeVar("N", bound=NamedRow)
P = TypeVar("P", bound=PrivateRow)
B = TypeVar("B", bound=Body)


class Resource(ABC, Generic[R]):
    """One kind of resource that users can read and delete."""

    entity: str
    """Its name in the audit log and in the names of operations, such as `tool_group`."""

    noun: str
    """Its name in messages, such as `tool group`."""

    delete_verb: str = "delete"

    @abstractmethod
    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> R:
        """Return a resource that the caller may read.

        With `lock` the caller must be allowed to change it, and its row is locked until the
        transaction ends.
        """

    @abstractmethod
    def audited_fields(self, row: R) -> Mapping[str, Any]:
        """Return what the audit log records: no prompts, no secrets."""

    async def remove(self, work: UnitOfWork, row: R) -> None:
        """Delete a locked row."""
        await named_resources.delete(work.session, row)

    async def dependents(self, work: UnitOfWork, row: R) -> Sequence[Dependent]:  # noqa: ARG002 - for subclasses
        """Return what names a resource, and no longer works without it."""
        return ()

    async def delete(
        self, work: UnitOfWork, key: Any, precondition: Precondition
    ) -> Sequence[Dependent]:
        """Delete a resource; return what still names it."""
        row = await self.find(work.session, work.caller, key, lock=True)
        precondition(row)
        before = self.audited_fields(row)
        named_by = await self.dependents(work, row)
        await self.remove(work, row)
        await work.record_audit(
            f"{self.entity}.{self.delete_verb}",
            (self.entity, row.id),
            before=before,
            owner_id=row.user_id,
        )
        return named_by


class PrivateResource(Resource[P], Generic[P]):
    """One kind of resource that only its user can see. The key is its name."""

    table: type[P]

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> P:
        """Return the caller's resource with this name."""
        del lock
        row = await named_resources.find_private(session, self.table, caller.user_id, key)
        if row is None:
            raise NotFoundError(f"You have no {self.noun} {key!r}.")
        return row

    async def page(self, session: AsyncSession, caller: Caller, window: Window) -> Page[P]:
        """Return a page of the caller's resources."""
        return await named_resources.page_private(session, self.table, caller.user_id, window)


class EditableResource(Resource[R], Generic[R, B]):
    """One kind of resource that users can also create and change."""

    table: type[R]
    create_model: type[B]

    @abstractmethod
    async def save(self, session: AsyncSession, row: R) -> None:
        """Write a new or changed row."""

    async def check(self, work: UnitOfWork, row: R, body: B) -> None:
        """Check the rules of a new or changed resource; `row` is still as it was before."""

    def columns(self, work: UnitOfWork, row: R, body: B) -> Mapping[str, Any]:  # noqa: ARG002 - for subclasses
        """Return the columns that store the body."""
        return body.model_dump(mode="json")

    def body_fields(self, row: R) -> Mapping[str, Any]:
        """Return the row as the fields of a body."""
        return {field: getattr(row, field) for field in self.create_model.model_fields}

    async def create(self, work: UnitOfWork, body: B) -> R:
        """Create a resource of the caller."""
        row = self.table(id=new_id(), user_id=work.caller.user_id)
        await self._write(work, row, body)
        after = self.audited_fields(row)
        await work.record_audit(f"{self.entity}.create", (self.entity, row.id), after=after)
        return row

    async def update(
        self, work: UnitOfWork, key: Any, update: Body, precondition: Precondition
    ) -> R:
        """Change the given fields of a resource."""
        row = await self.find(work.session, work.caller, key, lock=True)
        precondition(row)
        current = self.body_fields(row)
        body = merge_update(self.create_model, current, update, what=self.noun)
        await self.replace(work, row, body)
        return row

    async def replace(self, work: UnitOfWork, row: R, body: B) -> None:
        """Replace all fields of a locked resource."""
        before = self.audited_fields(row)
        await self._write(work, row, body, updated_at=datetime.now(UTC))
        await work.record_audit(
            f"{self.entity}.update",
            (self.entity, row.id),
            before=before,
            after=self.audited_fields(row),
            owner_id=row.user_id,
        )

    async def _write(self, work: UnitOfWork, row: R, body: B, **values: Any) -> None:
        await self.check(work, row, body)
        await work.check_storage(row.user_id, body)
        for column, value in {**self.columns(work, row, body), **values}.items():
            setattr(row, column, value)
        await self.save(work.session, row)


class NamedResource(EditableResource[N, B]):
    """One kind of resource with an id and a name that is unique among those of its owner.

    If its rows have the column `is_public`, other users can read the public ones.
    """

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> N:
        """Return the resource with this id (`Resource.find`)."""
        row = await named_resources.find(session, self.table, key, lock=lock)
        if row is None:
            raise missing(self.noun, key)
        if lock or not getattr(row, "is_public", False):
            caller.require_own(row.user_id, self.noun, key)
        return row

    async def _write(self, work: UnitOfWork, row: N, body: B, **values: Any) -> None:
        require_name(dict(body)["name"], before=row.name)
        await super()._write(work, row, body, **values)

    async def page(self, session: AsyncSession, caller: Caller, window: Window) -> Page[N]:
        """Return a page of the caller's resources and of the public ones."""
        return await named_resources.page(session, self.table, caller.user_id, window)

    async def save(self, session: AsyncSession, row: N) -> None:
        """Write a row (`EditableResource.save`)."""
        await named_resources.save(session, row)
