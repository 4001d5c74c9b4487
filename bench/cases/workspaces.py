"""Snapshots of a workspace with 2,000 files and 100 MB, and a restore of it."""

import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.cases.lists import database_server
from bench.figures import Bar, Section, Spread, Table
from bench.scale import Scale, say
from domain.workspaces.snapshots import WorkspaceSnapshot
from persistence.blobs.directory import DirectoryBlobs
from persistence.db.database import Database
from services.blobs import Blobs
from tools.snapshots.saving import Snapshots

FILES = 2_000
TOTAL_BYTES = 100_000_000
DIRECTORIES = 50
CHANGES = 30


async def measure(scale: Scale) -> Section:
    """Milliseconds until a snapshot is stored: the files, their index, and the rows for both."""
    del scale
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as directory:
        async with database_server() as url:
            database = Database.connect(url)
            measured = await _measure(Path(directory), database)
            await database.close()
    changed = Spread.of(measured["one file changed"]).median
    return Section(
        f"Snapshots of a workspace with {FILES:,} files and {TOTAL_BYTES / 1e6:.0f} MB",
        f"In {DIRECTORIES} directories, with the store in a directory. A snapshot is stored before "
        "the outcome of a tool is recorded. Another worker has to read all files once.",
        [
            Table(
                "Milliseconds",
                ("what", "ms"),
                [(n, str(Spread.of(m))) for n, m in measured.items()],
            )
        ],
        [Bar("a snapshot after a change of one file", changed, 150, unit="ms")],
    )


async def _measure(directory: Path, database: Database) -> dict[str, list[float]]:
    root, private = directory / "workspace", directory / "private"
    private.mkdir()
    say(f"writing {FILES:,} files")
    for number in range(FILES):
        path = _path(root, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(TOTAL_BYTES // FILES))
    store = Blobs(database, DirectoryBlobs(directory / "store"))
    snapshots, saved = Snapshots(store, private, owner=None), ""
    measured: dict[str, list[float]] = {"the first snapshot": []}

    async def save() -> None:
        nonlocal saved
        found: WorkspaceSnapshot | None = await snapshots.save(root, saved or None)
        saved = saved if found is None else found.sha256

    measured["the first snapshot"].append(await _milliseconds(save))
    measured["nothing changed"] = [await _milliseconds(save) for _ in range(CHANGES)]
    measured["one file changed"] = []
    for number in range(CHANGES):
        _path(root, number * 7).write_bytes(os.urandom(TOTAL_BYTES // FILES))
        measured["one file changed"].append(await _milliseconds(save))
    snapshots = Snapshots(store, private, owner=None)
    measured["nothing changed, after a restart of the worker"] = [await _milliseconds(save)]

    async def restore() -> None:
        await snapshots.restore(saved, directory / "restored")

    measured["a restore"] = [await _milliseconds(restore)]
    return measured


def _path(root: Path, number: int) -> Path:
    return root / f"directory-{number % DIRECTORIES}" / f"file-{number}"


async def _milliseconds(call: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000
