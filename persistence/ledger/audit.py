"""The audit log: who changed what, in the transaction of the change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.database import to_json
from persistence.db.paging import Page, Window, created_between, matching, newest
from persistence.tables.ledger import AuditRow, AuditSealRow, UserRow


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and in which request. `user_id` is empty where the engine itself acts."""

    user_id: UUID | None
    request_id: str | None = None
    address: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of `INSERT_BY_ACTOR`."""
        return {
            "actor_id": self.user_id,
            "request_id": self.request_id,
            "address": self.address,
        }


APPEND = """INSERT INTO audit_log
    (id, actor_id, request_id, address, owner_id, action, entity_type, entity_id, after)"""

INSERT_BY_ACTOR = f"""{APPEND}
SELECT uuidv7(), CAST(:actor_id AS uuid), CAST(:request_id AS text), CAST(:address AS text)"""
"""The beginning of a part of a statement that appends a row, as `record` does."""

_RECORD = text("""INSERT INTO audit_log
    (id, actor_id, request_id, address, owner_id, action, entity_type, entity_id, before, after)
VALUES (uuidv7(), :actor_id, :request_id, :address, :owner_id, :action, :entity_type, :entity_id,
    CAST(:before AS json), CAST(:after AS json))
""")

ENGINE = Actor(None)
"""For changes that no user requested: a scheduled run, an end that follows from another."""


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    entity: tuple[str, UUID],
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    owner_id: UUID | None = None,
) -> None:
    """Append one row. `before` and `after` name what changed and never hold prompts or secrets.

    `owner_id` is the owner of the entity, if that is not the actor: the owner sees the row too.
    """
    entity_type, entity_id = entity
    parameters = {
        **actor.parameters(),
        "owner_id": owner_id or actor.user_id,
        "action": action,
        "entity_type": entity_type,
        "entity_id": entity_id,
        "before": None if before is None else to_json(dict(before)),
        "after": None if after is None else to_json(dict(after)),
    }
    await session.execute(_RECORD, parameters)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Filters for a list of audit rows; `actor` is a user's id or subject."""

    entity_type: str | None = None
    entity_id: UUID | None = None
    action: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An audit row with its actor's subject and its seal, if it is sealed already."""

    row: AuditRow
    actor: str | None
    seal: AuditSealRow | None


async def page(
    session: AsyncSession, user_id: UUID | None, narrowed: AuditFilter, window: Window
) -> Page[AuditRow]:
    """Changes by a user and of a user's entities; all changes if `user_id` is None."""
    narrow = await _make_conditions(session, narrowed)
    if user_id is None:
        branches = [and_(AuditRow.id.is_not(None), *narrow)]
    else:
        branches = [
            and_(AuditRow.owner_id == user_id, *narrow),
            and_(
                AuditRow.actor_id == user_id,
                AuditRow.owner_id.is_distinct_from(AuditRow.actor_id),
                *narrow,
            ),
        ]
    return await newest(session, AuditRow, AuditRow.id, branches, window)


async def find(session: AsyncSession, audit_id: UUID) -> AuditRow | None:
    """One row."""
    return await session.get(AuditRow, audit_id)


async def load_entries(session: AsyncSession, rows: Sequence[AuditRow]) -> Sequence[AuditEntry]:
    """The rows with their actors and seals, in the same order."""
    seals = await session.scalars(
        select(AuditSealRow).where(AuditSealRow.audit_id.in_([row.id for row in rows]))
    )
    by_id = {seal.audit_id: seal for seal in seals}
    actors = {row.actor_id for row in rows if row.actor_id is not None}
    found = await session.execute(select(UserRow.id, UserRow.subject).where(UserRow.id.in_(actors)))
    subjects = {user.id: user.subject for user in found}
    return [
        AuditEntry(row, subjects.get(row.actor_id) if row.actor_id else None, by_id.get(row.id))
        for row in rows
    ]


async def _make_conditions(
    session: AsyncSession, narrowed: AuditFilter
) -> list[ColumnElement[bool]]:
    actor_id = None if narrowed.actor is None else await _find_actor(session, narrowed.actor)
    columns = {
        "entity_type": narrowed.entity_type,
        "entity_id": narrowed.entity_id,
        "action": narrowed.action,
        "actor_id": actor_id,
    }
    return [
        *matching(AuditRow, columns),
        *created_between(AuditRow.id, AuditRow.at, narrowed.since, narrowed.until),
    ]


async def _find_actor(session: AsyncSession, actor: str) -> UUID:
    """The user with this id or subject; an id that no user has if there is none."""
    try:
        return UUID(actor)
    except ValueError:
        found = await session.scalar(select(UserRow.id).where(UserRow.subject == actor))
        return found or UUID(int=0)
