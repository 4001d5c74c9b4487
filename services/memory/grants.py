"""Grants: let other users read or write namespaces of one's own."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, InvalidInputError
from domain.ids import new_id
from persistence.db.paging import Page, Window
from persistence.identity import users
from persistence.memory import grants
from persistence.tables.memory import MemoryGrantRow
from services.caller import Caller, missing
from services.definitions.resources import Resource
from services.memory.inputs import MemoryGrantCreate
from services.unit_of_work import UnitOfWork


class MemoryGrants(Resource[MemoryGrantRow]):
    """The declaration of grants. The grantee can read one, and only the owner can delete it."""

    entity, noun = "memory_grant", "grant"

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> MemoryGrantRow:
        """Return the grant with this id (`Resource.find`)."""
        row = await grants.find(session, key)
        if row is None:
            raise missing(self.noun, key)
        if lock or row.grantee_id != caller.user_id:
            caller.require_own(row.user_id, self.noun, key)
        return row

    async def page(
        self, session: AsyncSession, caller: Caller, window: Window
    ) -> Page[MemoryGrantRow]:
        """Return a page of the grants that the caller gave or received."""
        return await grants.page(session, caller.user_id, window)

    def audited_fields(self, row: MemoryGrantRow) -> Mapping[str, Any]:
        """Return who may do what."""
        return {"namespace": row.namespace, "grantee_id": str(row.grantee_id), "mode": row.mode}


MEMORY_GRANTS = MemoryGrants()


async def create_grant(work: UnitOfWork, body: MemoryGrantCreate) -> MemoryGrantRow:
    """Let another user read, or also write, a namespace of the caller.

    Raises:
        DuplicateNameError: the user has a grant for this namespace already.
        InvalidInputError: there is no other user with this subject.
    """
    grantee = await users.find_by_subject(work.session, body.grantee)
    if grantee is None or grantee.id == work.caller.user_id:
        text = "Use the subject of another user, who has used this server before."
        raise InvalidInputError(
            "The grantee is invalid; see errors.", [FieldProblem(("body", "grantee"), text)]
        )
    row = MemoryGrantRow(
        id=new_id(),
        user_id=work.caller.user_id,
        grantee_id=grantee.id,
        namespace=body.namespace,
        mode=body.mode,
    )
    await grants.create(work.session, row)
    after = MEMORY_GRANTS.audited_fields(row)
    await work.record_audit("memory_grant.create", ("memory_grant", row.id), after=after)
    return row
