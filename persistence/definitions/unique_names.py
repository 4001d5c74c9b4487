"""Names that are unique among a user's things: the index decides between two that come at once."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import DuplicateNameError


async def flush_named(session: AsyncSession, index: str, taken: str) -> None:
    """Write what is pending; `taken` says what to do where the unique index refuses it.

    Raises:
        DuplicateNameError: the name is taken.
    """
    try:
        await session.flush()
    except IntegrityError as error:
        if index not in str(error.orig):
            raise
        raise DuplicateNameError(taken) from error
