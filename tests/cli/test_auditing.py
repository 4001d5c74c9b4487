"""`perdure audit verify --direct`: the database itself is asked, and scripts hear of a break."""

from pathlib import Path

from sqlalchemy import text

from domain.ids import new_id
from persistence.db.database import Database
from persistence.ledger import audit
from persistence.ledger.audit import Actor
from services import maintenance
from tests.cli.running import json_of, perdure

VERIFY = ("audit", "verify", "--direct")


async def test_a_chain_is_verified_in_the_database(database_url: str, tmp_path: Path) -> None:
    database = Database.connect(database_url)
    for _ in range(3):
        async with database.transaction() as session:
            await audit.record(session, Actor(None), "thing.made", ("thing", new_id()), after={})
    await maintenance.chain_audit_entries(database)

    said = perdure(tmp_path, *VERIFY, PERDURE_DATABASE_URL=database_url)
    assert said.returncode == 0, said.stderr
    assert "3 seals verified" in said.stdout
    head = said.stdout.partition("head ")[2].strip()
    kept = perdure(
        tmp_path, *VERIFY, "--expect-head", head, "--json", PERDURE_DATABASE_URL=database_url
    )
    assert (kept.returncode, json_of(kept)["is_intact"]) == (0, True)
    other = f"9:{'0' * 64}"
    cut = perdure(tmp_path, *VERIFY, "--expect-head", other, PERDURE_DATABASE_URL=database_url)
    assert (cut.returncode, "seal 9 is missing" in cut.stderr) == (1, True)
    wrong = perdure(tmp_path, *VERIFY, "--expect-head", "x", PERDURE_DATABASE_URL=database_url)
    assert (wrong.returncode, "seq:hash" in wrong.stderr) == (2, True)

    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(
            text(
                "DELETE FROM audit_log WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 2)"
            )
        )
    await database.close()
    broken = perdure(tmp_path, *VERIFY, PERDURE_DATABASE_URL=database_url)
    assert (broken.returncode, "broken at seal 2" in broken.stderr) == (1, True)


def test_without_a_database_it_says_what_to_set(tmp_path: Path) -> None:
    said = perdure(tmp_path, *VERIFY)
    assert (said.returncode, "PERDURE_DATABASE_URL" in said.stderr) == (2, True)
