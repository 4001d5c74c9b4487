"""Administration: users and statistics."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.links import BASE
from api.users.schemas import QueueRead, StatsRead, UserRead, UserUpdate
from domain.errors import ConflictError, NotFoundError
from persistence.db.paging import COUNTED
from persistence.identity import users
from persistence.identity.users import UserFilter
from persistence.ledger import audit, stats
from persistence.tables.users import UserRow

router = APIRouter(prefix="/admin", tags=["admin"])


class UserQuery(ListQuery):
    """Filters for users."""

    subject: Annotated[str | None, Field(max_length=255)] = None
    role: Literal["user", "admin"] | None = None
    is_disabled: bool | None = None


@router.get("/users", responses={200: {"model": Listing[UserRead]}})
async def list_users(call: Called, query: Annotated[UserQuery, Query()]) -> Response:
    """List all users, newest first."""
    call.require_admin()
    narrowed = UserFilter(query.subject, query.role, query.is_disabled)
    async with call.gateway.database.reading() as session:
        page = await users.page(session, narrowed, query.window())
    return answer(listing(call.request, query, page, [read_of(row) for row in page.rows]))


@router.get("/users/{user_id}", responses={200: {"model": UserRead}})
async def get_user(call: Called, user_id: UUID) -> Response:
    """Get a user."""
    call.require_admin()
    async with call.gateway.database.reading() as session:
        row = await _user(session, user_id)
    return single(call.request, read_of(row))


@router.patch("/users/{user_id}", responses={200: {"model": UserRead}})
async def update_user(
    call: Called, user_id: UUID, update: Annotated[UserUpdate, Depends(JsonBody(UserUpdate))]
) -> Response:
    """Disable or enable a user, or change their quotas.

    The change takes effect at once at this gateway, and within seconds at others.
    """
    call.require_admin()
    if update.is_disabled and user_id == call.principal.user_id:
        raise ConflictError("You cannot disable yourself; ask another admin.")
    async with call.gateway.database.transaction() as session:
        row = await _user(session, user_id, lock=True)
        require_match(call.request, read_of(row))
        before = _facts(row, update)
        _change(row, update)
        await session.flush()
        after = _facts(row, update)
        entity = ("user", user_id)
        await audit.record(session, call.actor, "user.update", entity, before=before, after=after)
    call.gateway.authenticator.forget(user_id)
    call.services.quotas.forget(user_id)
    read = read_of(row)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.get("/stats", responses={200: {"model": StatsRead}})
async def get_stats(call: Called) -> Response:
    """Get counts of all objects, running executions and today's cost."""
    call.require_admin()
    async with call.gateway.database.reading() as session:
        found = await stats.load_stats(session)
    waits = None
    if found.oldest_pending_at is not None:
        waits = max(0.0, (datetime.now(UTC) - found.oldest_pending_at).total_seconds())
    queue = QueueRead(pending=found.active.get("pending", 0), oldest_pending_seconds=waits)
    return answer(
        StatsRead(
            users=found.users,
            users_disabled=found.users_disabled,
            tasks=found.tasks,
            sessions=found.sessions,
            counted_to=COUNTED,
            executions=dict(found.active),
            executions_today=dict(found.today),
            cost_today_usd=found.cost_today_usd,
            queue=queue,
            links={"self": f"{BASE}/admin/stats", "users": f"{BASE}/admin/users"},
        )
    )


def read_of(row: UserRow) -> UserRead:
    """A user, for admins."""
    fields = UserRead.model_fields.keys() - {"links", "is_disabled"}
    return UserRead(
        **{field: getattr(row, field) for field in fields},
        is_disabled=row.disabled_at is not None,
        links={"self": f"{BASE}/admin/users/{row.id}"},
    )


def _change(row: UserRow, update: UserUpdate) -> None:
    given = update.model_fields_set
    if "is_disabled" in given:
        at = row.disabled_at or datetime.now(UTC)
        row.disabled_at = at if update.is_disabled else None
    for field in given - {"is_disabled"}:
        setattr(row, field, getattr(update, field))


def _facts(row: UserRow, update: UserUpdate) -> dict[str, Any]:
    """The current values of the fields in the update, as JSON."""
    usd = row.max_usd_per_day
    facts = {
        "is_disabled": row.disabled_at is not None,
        "max_concurrent_executions": row.max_concurrent_executions,
        "max_usd_per_day": None if usd is None else float(usd),
    }
    return {field: facts[field] for field in sorted(update.model_fields_set)}


async def _user(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> UserRow:
    row = await users.find(session, user_id, lock=lock)
    if row is None:
        raise NotFoundError(f"User {user_id} does not exist.")
    return row
