"""Verifies the audit log's chain in the database itself, without the gateway.

No service does this: services act for a caller whose rights they check, and an operator who has the
database's URL may read all of it. The verification itself is the gateway's.
"""

import asyncio
from typing import Any

from api.audit import schemas
from cli.configuration import load_settings
from cli.exits import CommandError
from domain.errors import InvalidInputError
from persistence.db.database import Database
from persistence.ledger import audit_chain
from persistence.ledger.audit_chain import Head, Verification

SEALS_PER_QUERY = 100_000
"""Seals verified in one query (chosen)."""


def verify_directly(from_seq: int, expect_head: str | None) -> dict[str, Any]:
    """The gateway's answer, but for the whole chain from `from_seq` on.

    Raises:
        CommandError: PERDURE_DATABASE_URL is not set, or the expected head is malformed.
    """
    settings = load_settings()
    if settings.database_url is None:
        raise CommandError("Set PERDURE_DATABASE_URL to the database to verify.")
    try:
        expected = None if expect_head is None else schemas.parse_head(expect_head)
    except InvalidInputError as error:
        raise CommandError(f"{error.detail} {error.problems[0].msg}") from error
    found = asyncio.run(_verify(str(settings.database_url), from_seq, expected))
    answer: dict[str, Any] = schemas.render_verification(found).model_dump(
        mode="json", by_alias=True
    )
    return {**answer, "from_seq": from_seq, "verified": max(0, found.to_seq - from_seq + 1)}


async def _verify(database_url: str, from_seq: int, expected: Head | None) -> Verification:
    database = Database.connect(database_url, pool_size=1)
    try:
        async with database.reading() as session:
            first = from_seq
            while True:
                found = await audit_chain.verify(
                    session, first, limit=SEALS_PER_QUERY, expected=expected
                )
                if found.next_seq is None:
                    return found
                first = found.next_seq
                session.expunge_all()
    finally:
        await database.close()
