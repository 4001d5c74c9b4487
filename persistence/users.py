"""Users, made at first sight of a valid token."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from persistence.tables.users import UserRow


async def see(session: AsyncSession, subject: str, role: str) -> UUID:
    """The id of the user with this token subject; makes the row, and follows the token's role."""
    statement = insert(UserRow).values(id=new_id(), subject=subject, role=role)
    user_id: UUID | None = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=[UserRow.subject], set_={"role": statement.excluded.role}
        ).returning(UserRow.id)
    )
    if user_id is None:
        raise LookupError("an upsert returns its row")
    return user_id
