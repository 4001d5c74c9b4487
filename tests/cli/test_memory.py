"""`perdure memory` at a real gateway."""

from pathlib import Path

from tests.api.world import World
from tests.cli.conftest import Command
from tests.cli.runner import parse_json
from tests.cli.test_collections import ok, refused


async def test_entries_are_put_read_searched_deleted_and_moved(
    perdure: Command, tmp_path: Path
) -> None:
    assert "version 1" in ok(await perdure("memory", "put", "user:me", "notes/a", "likes tea"))
    note = tmp_path / "note.json"
    note.write_text('{"cups": 3}')
    ok(await perdure("memory", "put", "user:me", "notes/a", f"@{note}", "--value-json"))
    assert parse_json(await perdure("memory", "get", "user:me", "notes/a")) == {"cups": 3}
    first = await perdure("memory", "get", "user:me", "notes/a", "--version", "1")
    assert ok(first).strip() == "likes tea"
    assert "cups" in ok(await perdure("memory", "list", "cups"))
    assert "likes tea" in ok(await perdure("memory", "history", "user:me", "notes/a"))

    exported = tmp_path / "memory.jsonl"
    exported.write_text(ok(await perdure("memory", "export")))
    ok(await perdure("memory", "delete", "user:me", "notes/a", "--purge"))
    assert "no entry" in refused(await perdure("memory", "get", "user:me", "notes/a"))
    assert "1 entries, 1 of them new" in ok(await perdure("memory", "import", str(exported)))
    exported.write_text("[1]\n")
    assert f"{exported}:1 is not" in refused(await perdure("memory", "import", str(exported)))
    exported.write_text('\n{"namespace": "user:me", "key": "", "value": 1}\n')
    assert f"{exported}:2: key: " in refused(await perdure("memory", "import", str(exported)))


async def test_a_namespace_is_granted_and_revoked(perdure: Command, world: World) -> None:
    async with world.client("bob") as bob:
        await bob.get("/api/v1/me")
        grant = parse_json(await perdure("memory", "grant", "project:x", "bob", "--json"))
        ok(await perdure("memory", "put", "project:x", "a", "shared"))
        read = await bob.get("/api/v1/memory/project:x/a", params={"owner": "alice"})
        assert read.json()["value"] == "shared"
    assert grant["id"] in ok(await perdure("memory", "grants"))
    ok(await perdure("memory", "revoke", grant["id"]))
    assert "'abc' is no id" in refused(await perdure("memory", "revoke", "abc"))
