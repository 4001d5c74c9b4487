"""`perdure apply`: what a dry run finds, and what it reports when the gateway fails in between."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from cli.exits import Exit
from cli.stack.addresses import free_port
from tests.api.world import World
from tests.cli.conftest import Command

POET = "agent_id: poet\nname: Poet\nsystem_prompt: You rhyme.\nmodel: a-custom-model\n"


def write(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(directory)


def task(name: str, *more: str) -> str:
    return "\n".join([f"name: {name}", "prompt_template: Say hello.", *more, ""])


async def apply(perdure: Command, directory: str, *options: str) -> dict[str, dict[str, Any]]:
    result = await perdure("apply", "-f", directory, "--json", *options)
    assert result.stdout, result.stderr
    return {line["key"]: line for line in json.loads(result.stdout)}


async def read_stored(client: httpx2.AsyncClient) -> dict[str, Any]:
    page = (await client.get("/api/v1/tasks", params={"page_size": 100})).json()
    return {item["name"]: item for item in page["items"]}


async def test_a_dry_run_finds_what_would_be_refused(
    perdure: Command, world: World, tmp_path: Path
) -> None:
    directory = write(
        tmp_path / "files",
        {
            "good.yaml": task("good"),
            "tool.yaml": task("tool", "allowed_tools: [ssh]"),
            "cron.yaml": task("cron", "is_scheduled: true", "schedule_cron: soon"),
            "agent.yaml": task("agent", "agent_id: nobody"),
            "bypass.yaml": task("bypass", "sdk_options: {permission_mode: bypassPermissions}"),
        },
    )
    dry = await perdure("apply", "-f", directory, "--dry-run")
    assert dry.returncode == Exit.USAGE
    assert "+name: good" in dry.stdout
    for words in (
        "ssh",
        "schedule_cron",
        "Agent 'nobody' does not exist",
        "requires the admin role",
    ):
        assert words in " ".join(dry.stderr.split())
    assert "1 to create, 0 to update, 0 unchanged, 4 refused" in dry.stdout
    async with world.client("alice") as client:
        assert await read_stored(client) == {}
    before = await apply(perdure, directory, "--dry-run")
    real = await apply(perdure, directory)
    assert {k: line["refusal"] for k, line in before.items()} == {
        k: line["refusal"] for k, line in real.items()
    }
    write(tmp_path / "files", {"good.yaml": task("good", "ask_tools: [ssh]")})
    changed = (await apply(perdure, directory, "--dry-run"))["good"]
    assert (changed["change"], "ssh" in changed["refusal"]) == ("update", True)


async def test_a_dry_run_knows_the_agents_that_would_be_made(
    perdure: Command, tmp_path: Path
) -> None:
    files = {
        "agents/poet.yaml": POET,
        "agents/bad.yaml": POET.replace("poet", "bad") + "allowed_tools: [ssh]\n",
        "poem.yaml": task("poem", "agent_id: poet"),
        "dear.yaml": task("dear", "agent_id: poet", "sdk_options: {max_budget_usd: 1}"),
        "shared.yaml": task("shared", "agent_id: poet", "is_public: true"),
        "none.yaml": task("none", "agent_id: bad"),
    }
    directory = write(tmp_path / "files", files)
    dry = await apply(perdure, directory, "--dry-run")
    refused = {key for key, line in dry.items() if line["refusal"]}
    assert refused == {"bad", "dear", "shared", "none"}
    assert "price of 'a-custom-model'" in dry["dear"]["refusal"]
    real = await apply(perdure, directory)
    assert {key for key, line in real.items() if line["outcome"] == "refused"} == refused


@asynccontextmanager
async def breaking(world: World, after: int) -> AsyncIterator[str]:
    """A way to the gateway that breaks, for good, after so many requests for tasks.

    The last ones are answered by the gateway and the answers never arrive.
    """
    port, target = free_port(), httpx2.URL(world.url)
    passed, writers = 0, set[asyncio.StreamWriter]()

    def cut() -> None:
        server.close()
        for writer in writers:
            writer.close()

    async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter, *, asks: bool) -> None:
        nonlocal passed
        while chunk := await source.read(65536):
            passed += chunk.count(b"POST /api/v1/tasks ") if asks else 0
            if not asks and passed > after:
                cut()
                return
            to.write(chunk)
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection(target.host, target.port)
        writers.update((writer, to))
        await asyncio.gather(pump(reader, to, asks=True), pump(there, writer, asks=False))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    yield f"http://127.0.0.1:{port}"
    cut()


async def test_what_was_applied_is_reported_when_the_gateway_goes_away(
    perdure: Command, world: World, tmp_path: Path
) -> None:
    names = {f"task {number}" for number in range(60)}
    files = {f"{name}.yaml": task(name) for name in names}
    directory = write(tmp_path / "files", files)
    async with breaking(world, after=12) as url:
        broken = await perdure("--api-url", url, "apply", "-f", directory, "--json")
    assert broken.returncode == Exit.UNREACHABLE, broken.output
    assert "apply again" in broken.stderr
    lines = {line["key"]: line["outcome"] for line in json.loads(broken.stdout)}
    assert lines.keys() == names
    assert {"done", "unknown", "not tried"} == set(lines.values())
    async with world.client("alice") as client:
        there = await read_stored(client)
    assert {name for name in names if lines[name] == "done"} <= there.keys()
    assert not {name for name in names if lines[name] == "not tried"} & there.keys()
    again = await perdure("apply", "-f", directory)
    assert again.returncode == 0, again.output
    assert f"{len(names) - len(there)} created, 0 updated, {len(there)} unchanged" in again.stdout
