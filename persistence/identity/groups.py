"""Groups of users, which input requests are assigned to."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Row, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from domain.people.requests import GROUP
from domain.people.working_hours import WorkingHours
from persistence.db.paging import Page, Window, newest
from persistence.definitions.named_resources import flush_unique
from persistence.tables.definitions import TaskRow, TaskVersionRow
from persistence.tables.ledger import UserRow
from persistence.tables.people import GroupRow
from persistence.tables.sessions import InputRequestRow


async def find(session: AsyncSession, group_id: UUID, *, lock: bool = False) -> GroupRow | None:
    """The group with this id."""
    return await session.get(GroupRow, group_id, with_for_update=lock or None)


async def find_by_name(session: AsyncSession, name: str) -> GroupRow | None:
    """The group with this name."""
    return await session.scalar(select(GroupRow).where(GroupRow.name == name))


async def find_hours(session: AsyncSession, name: str) -> WorkingHours | None:
    """The working hours of the group with this name, if it exists and has any."""
    row = await find_by_name(session, name)
    return None if row is None else WorkingHours.parse(row.working_hours)


async def page(session: AsyncSession, window: Window) -> Page[GroupRow]:
    """All groups."""
    return await newest(session, GroupRow, GroupRow.id, [true()], window)


async def save(session: AsyncSession, row: GroupRow) -> None:
    """Store a new group, or a locked one that was changed.

    Raises:
        DuplicateNameError: another group has this name.
    """
    session.add(row)
    taken = f"There is already a group named {row.name!r}; choose another name."
    await flush_unique(session, "uq_groups_name", taken)


async def list_names(session: AsyncSession, user: UserRow) -> Sequence[str]:
    """The names of the groups of a user: as a member, or by a claim of the user's token."""
    claimed = user.claimed_groups or []
    is_member = or_(GroupRow.members.contains([user.subject]), GroupRow.name.in_(claimed))
    return (await session.scalars(select(GroupRow.name).where(is_member))).all()


async def list_subjects(session: AsyncSession, name: str) -> set[str]:
    """The subjects of a group: its members, and the known users whose token names the group."""
    row = await find_by_name(session, name)
    claiming = select(UserRow.subject).where(UserRow.claimed_groups.contains([name]))
    return {*(row.members if row is not None else ()), *await session.scalars(claiming)}


async def find_users(session: AsyncSession, subjects: Collection[str]) -> Sequence[UUID]:
    """The ids of the users with these subjects who have used the gateway."""
    return (await session.scalars(select(UserRow.id).where(UserRow.subject.in_(subjects)))).all()


async def is_named_by_request(session: AsyncSession, name: str) -> bool:
    """Whether an open request is assigned to the group, or is to be escalated to it."""
    assignee = f"{GROUP}{name}"
    is_named = or_(
        InputRequestRow.assignee == assignee,
        InputRequestRow.escalation["to"].as_string() == assignee,
    )
    found = select(InputRequestRow.id).where(is_named, InputRequestRow.status == "open")
    return await session.scalar(found.limit(1)) is not None


async def find_tasks(
    session: AsyncSession, name: str, *, limit: int = 5
) -> Sequence[Row[UUID, str]]:
    """The ids and names of tasks of any user whose `human_input_policy` names the group."""
    policy = TaskVersionRow.definition["human_input_policy"]
    assignee = f"{GROUP}{name}"
    found = await session.execute(
        select(TaskRow.id, TaskRow.name)
        .join(
            TaskVersionRow,
            and_(TaskVersionRow.task_id == TaskRow.id, TaskVersionRow.version == TaskRow.version),
        )
        .where(
            TaskRow.deleted_at.is_(None),
            or_(
                policy["assignee"].as_string() == assignee,
                policy["escalate_to"].as_string() == assignee,
            ),
        )
        .order_by(TaskRow.id)
        .limit(limit)
    )
    return found.all()
