"""`perdure memory` at a real gateway."""

import json
from pathlib import Path

from tests.api.world import World
from tests.cli.conftest import Command
from tests.cli.runner import parse_json
from tests.cli.test_collections import ok, read_error


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
    assert "Nothing matches" in ok(await perdure("memory", "list", "absent"))
    assert "likes tea" in ok(await perdure("memory", "history", "user:me", "notes/a"))

    exported = tmp_path / "memory.jsonl"
    exported.write_text(ok(await perdure("memory", "export")))
    ok(await perdure("memory", "delete", "user:me", "notes/a", "--purge"))
    assert "no entry" in read_error(await perdure("memory", "get", "user:me", "notes/a"))
    assert "1 entry, 1 of them new" in ok(await perdure("memory", "import", str(exported)))
    typed = json.dumps({"namespace": "user:me", "key": "c", "value": "piped"})
    piped = await perdure("memory", "import", "-", typed=typed)
    assert "1 entry, 1 of them new" in ok(piped)
    ok(await perdure("memory", "put", "user:me", "d", "@-", typed="typed"))
    assert ok(await perdure("memory", "get", "user:me", "d")).strip() == "typed"
    exported.write_text("[1]\n")
    assert f"{exported}:1 is not" in read_error(await perdure("memory", "import", str(exported)))
    exported.write_text('\n{"namespace": "user:me", "key": "", "value": 1}\n')
    assert f"{exported}:2: key: " in read_error(await perdure("memory", "import", str(exported)))


async def test_an_import_that_stops_can_be_continued(perdure: Command, tmp_path: Path) -> None:
    exported = tmp_path / "memory.jsonl"
    line = {"namespace": "user:me", "key": "b", "value": "x" * 250_000}
    long = [json.dumps({**line, "key": f"b{n}"}) for n in range(50)]
    exported.write_text("\n".join([*long, json.dumps({**line, "value": None})]))
    stopped = read_error(await perdure("memory", "import", str(exported)))
    assert "The 45 entries before" in stopped
    assert f"{exported}:51: value: null" in stopped
    expired = json.dumps({**line, "expires_at": "2020-01-01T00:00:00Z"})
    exported.write_text("\n".join([*long, expired]))
    imported = ok(await perdure("memory", "import", str(exported)))
    assert "51 entries, 5 of them new, 1 had expired" in imported


async def test_a_namespace_is_granted_and_revoked(perdure: Command, world: World) -> None:
    async with world.client("bob") as bob:
        await bob.get("/api/v1/me")
        grant = parse_json(await perdure("memory", "grant", "project:x", "bob", "--json"))
        ok(await perdure("memory", "put", "project:x", "a", "shared"))
        read = await bob.get("/api/v1/memory/project:x/a", params={"owner": "alice"})
        assert read.json()["value"] == "shared"
    assert grant["id"] in ok(await perdure("memory", "grants"))
    ok(await perdure("memory", "revoke", grant["id"]))
    assert "'abc' is no id" in read_error(await perdure("memory", "revoke", "abc"))
