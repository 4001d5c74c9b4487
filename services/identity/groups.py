"""Groups of users that input requests are assigned to. Admins define them; all users see them."""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError
from domain.people.requests import group_of
from persistence.db.paging import Page, Window
from persistence.definitions import named_resources
from persistence.identity import groups
from persistence.tables.people import GroupRow
from services.caller import Caller, missing
from services.definitions.resources import EditableResource
from services.field_types import Body, Text
from services.unit_of_work import UnitOfWork

MAX_MEMBERS = 1_000
"""Of one group (chosen: a department)."""

LEAST_A_WEEK = timedelta(hours=1)
"""Of working hours: a due time of a year then ends within two centuries (chosen)."""

GroupName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Subject = Annotated[str, Field(min_length=1, max_length=255)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def _check_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("Use a time zone of the IANA database, such as Europe/Berlin.")
    return ZoneInfo(name).key


class WorkingHoursBody(BaseModel):
    """When the members work. Due times and reminders of their requests count only this time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: Annotated[str, AfterValidator(_check_zone)]
    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
        Field(min_length=1, max_length=7),
    ]
    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _has_duration(self) -> Self:
        if time.fromisoformat(self.start) >= time.fromisoformat(self.end):
            raise ValueError("end must be later than start on the same day.")
        if len(set(self.days)) * _length(self) < LEAST_A_WEEK:
            raise ValueError("The hours of a week must be at least one hour in sum; add more.")
        return self


def _length(hours: WorkingHoursBody) -> timedelta:
    """From `start` to `end`."""
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    return timedelta(hours=end.hour - start.hour, minutes=end.minute - start.minute)


class GroupCreate(Body):
    """A new group. `members` are users by the `sub` of their tokens."""

    name: GroupName
    description: Text | None = None
    members: Annotated[tuple[Subject, ...], Field(max_length=MAX_MEMBERS)] = ()
    working_hours: WorkingHoursBody | None = None


class GroupUpdate(Body):
    """Changes to a group. Its name stays: requests are assigned to it."""

    description: Text | None = None
    members: Annotated[tuple[Subject, ...], Field(max_length=MAX_MEMBERS)] = ()
    working_hours: WorkingHoursBody | None = None


class Groups(EditableResource[GroupRow, GroupCreate]):
    """The declaration of groups."""

    entity, noun = "group", "group"
    table, create_model = GroupRow, GroupCreate

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> GroupRow:
        """Return the group with this id; only an admin may change it (`Resource.find`)."""
        if lock:
            caller.require_admin()
        row = await groups.find(session, key, lock=lock)
        if row is None:
            raise missing(self.noun, key)
        return row

    async def page(self, session: AsyncSession, caller: Caller, window: Window) -> Page[GroupRow]:
        """Return a page of all groups."""
        del caller
        return await groups.page(session, window)

    async def create(self, work: UnitOfWork, body: GroupCreate) -> GroupRow:
        """Create a group."""
        work.caller.require_admin()
        return await super().create(work, body)

    def columns(self, work: UnitOfWork, row: GroupRow, body: GroupCreate) -> Mapping[str, Any]:
        """Return the columns; a member is listed once."""
        columns = super().columns(work, row, body)
        return {**columns, "members": list(dict.fromkeys(body.members))}

    async def check(self, work: UnitOfWork, row: GroupRow, body: GroupCreate) -> None:
        """Let processes read the groups of those who join or leave again."""
        changed = {*(row.members or ())} ^ {*body.members}
        for user_id in await groups.find_users(work.session, changed):
            await work.forget_user(user_id)

    def body_fields(self, row: GroupRow) -> Mapping[str, Any]:
        """Return the row as the fields of a body."""
        return {**super().body_fields(row), "members": tuple(row.members)}

    def audited_fields(self, row: GroupRow) -> Mapping[str, Any]:
        """Return all fields."""
        return {**self.body_fields(row), "members": list(row.members)}

    async def save(self, session: AsyncSession, row: GroupRow) -> None:
        """Write a row (`EditableResource.save`)."""
        await groups.save(session, row)

    async def remove(self, work: UnitOfWork, row: GroupRow) -> None:
        """Delete a locked group.

        Raises:
            ConflictError: an open request or a task names it.
        """
        if await groups.is_named_by_request(work.session, row.name):
            raise ConflictError(
                "Open requests are assigned to this group, or are to be escalated to it; assign "
                "them to others or wait until they are answered."
            )
        if naming := await groups.find_tasks(work.session, row.name):
            listed = ", ".join(f"{task.name!r} ({task.id})" for task in naming)
            raise ConflictError(
                f"The human_input_policy of these tasks names this group as assignee or "
                f"escalate_to: {listed}. Change them first."
            )
        for user_id in await groups.find_users(work.session, row.members):
            await work.forget_user(user_id)
        await named_resources.delete(work.session, row)


GROUPS = Groups()


async def missing_group(session: AsyncSession, assignee: str | None) -> str | None:
    """Why an assignee can't be assigned to: it is a group that does not exist; otherwise None."""
    name = group_of(assignee)
    if name is None or await groups.find_by_name(session, name) is not None:
        return None
    return f"There is no group {name!r}; ask an admin to create it, or assign a user."
