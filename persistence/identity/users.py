"""Users, created at the first request with a valid token."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from persistence.db.live_updates import USERS_CHANNEL, notify
from persistence.db.paging import Page, Window, matching, newest
from persistence.tables.ledger import UserRow


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Filters for a list of users."""

    subject: str | None = None
    role: str | None = None
    is_disabled: bool | None = None


async def find_or_create(
    session: AsyncSession,
    subject: str,
    role: str,
    *,
    groups: Sequence[str] | None = None,
    email: str | None = None,
) -> UserRow:
    """The user with this token subject, created if needed; the role is updated to the token's.

    So are the groups and the address, unless the token has no claim for them.
    """
    user = await find_by_subject(session, subject)
    if user is None:
        statement = insert(UserRow).values(id=new_id(), subject=subject, role=role)
        await session.execute(statement.on_conflict_do_nothing(index_elements=[UserRow.subject]))
        user = (await session.scalars(select(UserRow).where(UserRow.subject == subject))).one()
    if user.role != role:
        user.role = role
        await session.flush()
        await notify(session, USERS_CHANNEL, str(user.id))  # API keys of admins follow the role
    if groups is not None and list(groups) != (user.claimed_groups or []):
        user.claimed_groups = list(groups)
        await session.flush()
        await notify(session, USERS_CHANNEL, str(user.id))
    if email is not None and email != user.email:
        user.email = email
        await session.flush()
    return user


async def list_by_address(session: AsyncSession, address: str) -> Sequence[UserRow]:
    """Users with this verified address, or with the address as their subject; twenty at most."""
    is_theirs = or_(
        UserRow.subject == address,
        and_(UserRow.email.is_not(None), func.lower(UserRow.email) == address.lower()),
    )
    found = select(UserRow).where(is_theirs, UserRow.disabled_at.is_(None))
    return (await session.scalars(found.order_by(UserRow.id).limit(20))).all()


async def find_by_slack_user(session: AsyncSession, slack_user: str) -> UserRow | None:
    """The user who has linked this account of Slack (`TEAM/USER`)."""
    return await session.scalar(select(UserRow).where(UserRow.slack_user == slack_user))


async def find_by_subject(session: AsyncSession, subject: str) -> UserRow | None:
    """The user with this token subject."""
    return await session.scalar(select(UserRow).where(UserRow.subject == subject))


async def find_current(session: AsyncSession, user_id: UUID) -> UserRow | None:
    """The user, read again if this session has read it before."""
    return await session.get(UserRow, user_id, populate_existing=True)


async def find(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> UserRow | None:
    """The user; with `lock`, other rows can still refer to it."""
    return await session.get(
        UserRow,
        user_id,
        with_for_update={"key_share": True} if lock else None,
        populate_existing=lock,
    )


async def find_subjects(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The subjects of users, by their ids."""
    if not ids:
        return {}
    found = await session.execute(select(UserRow.id, UserRow.subject).where(UserRow.id.in_(ids)))
    return {row.id: row.subject for row in found}


async def page(session: AsyncSession, narrowed: UserFilter, window: Window) -> Page[UserRow]:
    """All users."""
    conditions = matching(UserRow, {"subject": narrowed.subject, "role": narrowed.role})
    if narrowed.is_disabled is not None:
        disabled = UserRow.disabled_at.is_not(None)
        conditions.append(disabled if narrowed.is_disabled else ~disabled)
    return await newest(session, UserRow, UserRow.id, [and_(true(), *conditions)], window)
