"""`perdure audit verify --direct` verifies in the database, and exits with 1 for a break."""

import asyncio

from sqlalchemy import text

from domain.ids import new_id
from persistence.db.database import Database
from persistence.ledger import audit
from persistence.ledger.audit import Actor
from services import maintenance
from tests.cli.runner import Invocation, invoke, parse_json


async def verify(database_url: str, *options: str) -> Invocation:
    """Verify in a thread: the command has an event loop of its own."""
    command = ("audit", "verify", "--direct", *options)
    return await asyncio.to_thread(invoke, *command, PERDURE_DATABASE_URL=database_url)


async def test_a_chain_is_verified_in_the_database(database_url: str) -> None:
    database = Database.connect(database_url)
    for _ in range(3):
        async with database.transaction() as session:
            await audit.record(session, Actor(None), "thing.made", ("thing", new_id()), after={})
    await maintenance.chain_audit_entries(database)

    intact = await verify(database_url)
    assert intact.returncode == 0, intact.stderr
    assert "3 seals verified" in intact.stdout
    head = intact.stdout.partition("head ")[2].strip()
    kept = await verify(database_url, "--expect-head", head, "--json")
    assert (kept.returncode, parse_json(kept)["is_intact"]) == (0, True)
    other = f"9:{'0' * 64}"
    cut = await verify(database_url, "--expect-head", other)
    assert (cut.returncode, "seal 9 is missing" in cut.stderr) == (1, True)
    wrong = await verify(database_url, "--expect-head", "x")
    assert (wrong.returncode, "seq:hash" in wrong.stderr) == (2, True)

    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(
            text(
                "DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 2)"
            )
        )
    await database.close()
    broken = await verify(database_url)
    assert (broken.returncode, "broken at seal 2" in broken.stderr) == (1, True)


def test_without_a_database_it_says_what_to_set() -> None:
    intact = invoke("audit", "verify", "--direct")
    assert (intact.returncode, "PERDURE_DATABASE_URL" in intact.stderr) == (2, True)
