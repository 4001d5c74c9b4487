"""Transcripts of forks: the messages that a session shares with its ancestors.

A fork copies no message. The messages of each ancestor are read up to the fork's place and as they
were at that time: a message that was superseded later is included, a later one is not. Sessions
that are not forks are read without this module.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.database import Database
from persistence.tables.sessions import MessageRow

# Each part is sorted by itself and not joined: Postgres does not know that there are few ancestors
# and would read the whole table.
LINE = """
WITH RECURSIVE line AS (
    SELECT forked_from_session_id AS session_id, forked_at_seq AS upto, forked_at AS as_of
    FROM sessions WHERE id = :session_id AND forked_from_session_id IS NOT NULL
    UNION ALL
    SELECT s.forked_from_session_id, least(line.upto, s.forked_at_seq), s.forked_at
    FROM line JOIN sessions s ON s.id = line.session_id
    WHERE s.forked_from_session_id IS NOT NULL
),
shared AS (
    SELECT part.* FROM line, LATERAL (
        SELECT * FROM messages m
        WHERE m.session_id = line.session_id AND m.superseded_at IS NULL
            AND m.seq <= line.upto AND m.created_at <= line.as_of
        ORDER BY m.seq
    ) AS part
    UNION ALL
    SELECT part.* FROM line, LATERAL (
        SELECT * FROM messages m
        WHERE m.session_id = line.session_id AND m.superseded_at > line.as_of
            AND m.seq <= line.upto AND m.created_at <= line.as_of
        ORDER BY m.seq
    ) AS part
),
whole AS (
    SELECT * FROM shared
    UNION ALL
    SELECT * FROM messages WHERE session_id = :session_id AND superseded_at IS NULL
)
"""

TRANSCRIPT = text(f"""
{LINE}
SELECT seq, role, content, execution_id, stop_reason FROM whole ORDER BY seq
""")  # noqa: S608 - a constant of ours

LATEST = text(f"{LINE} SELECT * FROM whole ORDER BY seq DESC LIMIT :limit")  # noqa: S608 - as above


async def load_transcript(database: Database, session_id: UUID) -> Sequence[SimpleNamespace]:
    """All messages of a fork, oldest first, with the columns of `StoredMessage`."""
    return await database.raw.rows(TRANSCRIPT, {"session_id": session_id})


async def find_last_message(database: Database, session_id: UUID) -> SimpleNamespace | None:
    """The last message of a fork."""
    return await database.raw.run(LATEST, {"session_id": session_id, "limit": 1})


async def list_latest_messages(
    session: AsyncSession, session_id: UUID, *, limit: int
) -> Sequence[MessageRow]:
    """The latest messages of a fork, oldest first."""
    query = select(MessageRow).from_statement(LATEST)
    rows = await session.scalars(query, {"session_id": session_id, "limit": limit})
    return rows.all()[::-1]
