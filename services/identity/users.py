"""Users: what they may use, and what admins change."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import as_number
from domain.errors import ConflictError, NotFoundError
from persistence.db.paging import COUNTED
from persistence.identity import users
from persistence.ledger.quotas import QuotaUsage, load_usage
from persistence.ledger.storage import StoredBytes
from persistence.tables.ledger import UserRow
from services.caller import Caller
from services.field_types import Body
from services.quotas import Quotas, effective_quotas
from services.unit_of_work import Precondition, Services, UnitOfWork

MAX_CONCURRENT_EXECUTIONS = 100_000
"""The largest quota (chosen: more executions than one installation runs)."""

MAX_STORED_BYTES = 2**53 - 1
"""The largest quota: JSON numbers are exact up to here."""

MAX_MEMORY_ENTRIES = 2**31 - 1
"""The largest quota: Postgres stores an integer."""

Role = Literal["user", "admin"]

DailyUsd = Annotated[
    Decimal,
    Field(ge=0, max_digits=18, decimal_places=6),
    BeforeValidator(as_number, json_schema_input_type=Annotated[float, Field(ge=0)]),
]
"""With 0 no execution starts."""


class UserUpdate(Body):
    """Changes to a user; null resets a quota to the operator's default."""

    is_disabled: bool = False
    max_concurrent_executions: Annotated[int | None, Field(ge=0, le=MAX_CONCURRENT_EXECUTIONS)] = (
        None
    )
    max_usd_per_day: DailyUsd | None = None
    max_stored_bytes: Annotated[int | None, Field(ge=0, le=MAX_STORED_BYTES)] = None
    max_memory_entries: Annotated[int | None, Field(ge=0, le=MAX_MEMORY_ENTRIES)] = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A user with their quotas, and how much of them is used."""

    user: UserRow
    quotas: Quotas
    usage: QuotaUsage
    stored: StoredBytes


async def read_profile(session: AsyncSession, caller: Caller, services: Services) -> Profile:
    """Return the profile of the caller."""
    user = await _find(session, caller.user_id)
    usage = await load_usage(session, caller.user_id, counted=COUNTED)
    stored = await services.storage.read_stored(session, caller.user_id)
    return Profile(user, effective_quotas(user, services.quotas.defaults), usage, stored)


async def find_user(
    session: AsyncSession, caller: Caller, user_id: UUID, *, lock: bool = False
) -> UserRow:
    """Return a user to an admin; `lock` locks the row until the transaction ends."""
    caller.require_admin()
    return await _find(session, user_id, lock=lock)


async def update_user(
    work: UnitOfWork, user_id: UUID, update: UserUpdate, precondition: Precondition
) -> UserRow:
    """Disable or enable a user, or set their quotas.

    Raises:
        ConflictError: the caller would disable themselves.
    """
    row = await find_user(work.session, work.caller, user_id, lock=True)
    if update.is_disabled and user_id == work.caller.user_id:
        raise ConflictError("You cannot disable yourself; ask another admin.")
    precondition(row)
    before = _audited_fields(row, update)
    for field in update.model_fields_set - {"is_disabled"}:
        setattr(row, field, getattr(update, field))
    if "is_disabled" in update.model_fields_set:
        disabled_at = row.disabled_at or datetime.now(UTC)
        row.disabled_at = disabled_at if update.is_disabled else None
    await work.session.flush()
    after = _audited_fields(row, update)
    await work.record_audit("user.update", ("user", user_id), before=before, after=after)
    await work.forget_user(user_id)
    return row


async def _find(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> UserRow:
    row = await users.find(session, user_id, lock=lock)
    if row is None:
        raise NotFoundError(f"User {user_id} does not exist.")
    return row


def _audited_fields(row: UserRow, update: UserUpdate) -> dict[str, Any]:
    """Return the fields that the update sets; JSON has no decimals."""
    usd = row.max_usd_per_day
    fields = {
        "is_disabled": row.disabled_at is not None,
        "max_concurrent_executions": row.max_concurrent_executions,
        "max_usd_per_day": None if usd is None else float(usd),
        "max_stored_bytes": row.max_stored_bytes,
        "max_memory_entries": row.max_memory_entries,
    }
    return {field: fields[field] for field in sorted(update.model_fields_set)}
