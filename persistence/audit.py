"""The audit log: who changed what, in the transaction of the change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.tables.audit import AuditRow


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and in which request. `user_id` is empty where the engine itself acts."""

    user_id: UUID | None
    request_id: str | None = None
    address: str | None = None


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    entity: tuple[str, UUID],
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append one row. `before` and `after` name what changed and never hold prompts or secrets."""
    entity_type, entity_id = entity
    await session.execute(
        insert(AuditRow).values(
            actor_id=actor.user_id,
            action=action,
            entity_type=entity_type,
            entity_id=entity_id,
            request_id=actor.request_id,
            address=actor.address,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
        )
    )
