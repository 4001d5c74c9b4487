"""The files of a workspace, as the gateway hands them out."""

import asyncio
import io
import os
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select, update

from api.files.archives import LEFT_OUT
from api.files.saved import SavedWorkspace
from domain.files.blobs import CHUNK_BYTES
from domain.ids import new_id
from domain.workspaces.snapshots import SavedEntry, WorkspaceIndex
from domain.workspaces.sparse_files import is_sparse
from persistence.sessions import workspaces
from persistence.sessions.workspaces import WorkspaceOwner
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from runtime.host import host_id
from tests.api.world import World, execute, give_session, make_task
from tools.snapshots.saving import Snapshots

Client = httpx2.AsyncClient
SPARSE = 1 << 30


async def hold(world: World, session_id: UUID, host: UUID) -> None:
    """Let a host hold a session's workspace, as its first tool call does."""
    change = update(SessionRow).where(SessionRow.id == session_id).values(workspace_host_id=host)
    async with world.gateway.database.transaction() as session:
        await session.execute(change)


class SessionFiles:
    """An execution with a workspace on the gateway's own host."""

    def __init__(self, root: Path, files: str) -> None:
        self.root = root
        self.files = files


@pytest.fixture
async def workspace(world: World, client: Client) -> SessionFiles:
    execution = await execute(client, await make_task(client))
    session_id = await give_session(world, execution)
    home = world.gateway.settings.home
    await hold(world, session_id, host_id(home))
    root = home / "workspaces" / str(session_id)
    root.mkdir(parents=True)
    return SessionFiles(root, execution["_links"]["files"])


async def list_files(
    client: Client, workspace: SessionFiles, **query: Any
) -> list[tuple[str, str]]:
    response = await client.get(workspace.files, params=query)
    assert response.status_code == 200, response.text
    return [(f["path"], f["type"]) for f in response.json()["items"]]


async def test_a_directory_is_listed_by_name(client: Client, workspace: SessionFiles) -> None:
    (workspace.root / "out").mkdir()
    (workspace.root / "out" / "b.txt").write_text("bb")
    (workspace.root / "out" / "a.txt").write_text("a")
    (workspace.root / "link").symlink_to("/etc/passwd")
    os.mkfifo(workspace.root / "pipe")
    assert await list_files(client, workspace) == [
        ("link", "link"),
        ("out", "directory"),
        ("pipe", "other"),
    ]
    inside = [("out/a.txt", "file"), ("out/b.txt", "file")]
    assert await list_files(client, workspace, path="./out/") == inside
    assert await list_files(client, workspace, path="/workspace/out") == inside
    first = (await client.get(workspace.files, params={"path": "out", "page_size": 1})).json()
    assert (first["total"], first["items"][0]["size_bytes"]) == (2, 1)
    assert first["items"][0]["modified_at"].endswith("Z")
    second = (await client.get(first["_links"]["next"])).json()
    assert [f["path"] for f in second["items"]] == ["out/b.txt"]
    assert second["next_cursor"] is None


async def test_a_file_is_sent_whole_or_in_part(client: Client, workspace: SessionFiles) -> None:
    (workspace.root / "a b.txt").write_bytes(b"0123456789")
    (workspace.root / "empty").touch()
    content = f"{workspace.files}/content"
    whole = await client.get(content, params={"path": "a b.txt"})
    assert whole.content == b"0123456789"
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.txt"
    assert "sandbox" in whole.headers["content-security-policy"]
    part = await client.get(content, params={"path": "a b.txt"}, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert (await client.get(content, params={"path": "empty"})).content == b""
    for asked, status, code in (
        ("bytes=10-", 416, "range_not_satisfiable"),
        ("bytes=x", 400, "malformed_request"),
    ):
        refused = await client.get(content, params={"path": "a b.txt"}, headers={"Range": asked})
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert refused.headers["content-type"] == "application/problem+json"


async def test_a_large_file_is_sent_as_it_is(client: Client, workspace: SessionFiles) -> None:
    body = os.urandom(1024 * 1024 + 17)
    (workspace.root / "large").write_bytes(body)
    assert (await client.get(f"{workspace.files}/content?path=large")).content == body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../secret", 422),
        ("/etc/passwd", 422),
        ("out/../../secret", 422),
        ("link", 422),
        ("linked/passwd", 422),
        ("pipe", 422),
        ("directory", 422),
        ("zero", 422),
        ("", 422),
        ("missing", 404),
        ("directory/missing", 404),
        ("a" * 300, 422),
    ],
)
@pytest.mark.parametrize("route", ["content", "archive"])
async def test_no_path_leads_out(
    client: Client, workspace: SessionFiles, route: str, path: str, status: int
) -> None:
    (workspace.root.parent / "secret").write_text("not yours")
    (workspace.root / "link").symlink_to("../secret")
    (workspace.root / "linked").symlink_to("/etc")
    (workspace.root / "zero").symlink_to("/dev/zero")
    (workspace.root / "directory").mkdir()
    os.mkfifo(workspace.root / "pipe")
    response = await client.get(f"{workspace.files}/{route}", params={"path": path})
    if (route, path) == ("archive", "directory"):
        status = 200
    assert response.status_code == status, response.text


async def test_a_link_inside_is_followed(client: Client, workspace: SessionFiles) -> None:
    (workspace.root / "real").write_text("here")
    (workspace.root / "inside").symlink_to("/workspace/real")
    assert (await client.get(f"{workspace.files}/content?path=inside")).text == "here"


async def test_an_archive_holds_what_is_inside(client: Client, workspace: SessionFiles) -> None:
    root = workspace.root
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "file.bin").write_bytes(bytes(range(256)) * 5000)
    (root / "deep" / "er" / "up").symlink_to("../../top")
    (root / "top").write_text("top")
    (root / "top").chmod(0o4755)
    (root / "deep" / "out").symlink_to("../../outside")
    (root / "sly").symlink_to("deep/er/../../../outside")
    (root / "absolute").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    response = await client.get(f"{workspace.files}/archive")
    assert response.headers["content-type"] == "application/gzip"
    with tarfile.open(fileobj=io.BytesIO(response.content)) as archive:
        members = {m.name: m for m in archive.getmembers()}
        assert members.keys() == {
            "deep",
            "deep/er",
            "deep/er/file.bin",
            "deep/er/up",
            "top",
            LEFT_OUT,
        }
        assert members["deep/er/up"].linkname == "../../top"
        assert members["top"].mode == 0o755
        content = archive.extractfile("deep/er/file.bin")
        note = archive.extractfile(LEFT_OUT)
        assert content is not None
        assert note is not None
        assert content.read() == bytes(range(256)) * 5000
        left_out = set(note.read().decode().split())
    assert left_out == {"deep/out", "sly", "absolute", "pipe"}
    part = await client.get(f"{workspace.files}/archive?path=deep/er")
    with tarfile.open(fileobj=io.BytesIO(part.content)) as archive:
        assert "file.bin" in archive.getnames()
        assert LEFT_OUT in archive.getnames()


async def test_holes_are_not_read_for_an_archive(
    client: Client, workspace: SessionFiles, tmp_path: Path
) -> None:
    """GNU tar and Python give back the same files."""
    parts: dict[str, list[tuple[int, bytes]]] = {
        "hole": [],
        "data at the end": [(SPARSE - 3, b"end")],
        "data inside": [(1 << 20, b"x" * 5000), (900 << 20, b"y")],
        "häufig/" + "long" * 40: [(0, b"start")],
    }
    (workspace.root / "häufig").mkdir()
    for name, data in parts.items():
        with (workspace.root / name).open("wb") as file:
            file.truncate(SPARSE)
            for position, content in data:
                file.seek(position)
                file.write(content)
    began = time.process_time()
    archive = (await client.get(f"{workspace.files}/archive")).content
    assert time.process_time() - began < 2
    assert len(archive) < 100_000
    (tmp_path / "a.tgz").write_bytes(archive)
    for unpack in (["tar", "xzf"], [sys.executable, "-m", "tarfile", "-e"]):
        target = tmp_path / unpack[-1].strip("-")
        target.mkdir()
        process = await asyncio.create_subprocess_exec(*unpack, str(tmp_path / "a.tgz"), cwd=target)
        assert await process.wait() == 0
        for name, data in parts.items():
            status = (target / name).stat()
            assert (status.st_size, is_sparse(status)) == (SPARSE, True)
            with (target / name).open("rb") as file:
                for position, content in data:
                    file.seek(max(position - 1, 0))
                    around = file.read(len(content) + 2).strip(b"\0")
                    assert around == content


async def test_no_file_stays_open(client: Client, workspace: SessionFiles) -> None:
    (workspace.root / "a").write_text("a")
    (workspace.root / "b").mkdir()

    def in_workspace() -> list[str]:
        links = Path("/proc/self/fd").iterdir()
        names = [str(link.readlink()) for link in links if link.is_symlink()]
        return [name for name in names if name.startswith(str(workspace.root))]

    for address in ("", "/content?path=a", "/content?path=x", "/archive", "/archive?path=a"):
        await client.get(f"{workspace.files}{address}")
    assert in_workspace() == []


async def test_without_a_workspace_there_are_no_files(client: Client) -> None:
    execution = await execute(client, await make_task(client))
    files = execution["_links"]["files"]
    assert (await client.get(files)).json()["items"] == []
    assert (await client.get(f"{files}?path=out")).status_code == 404
    assert (await client.get(f"{files}/content?path=a")).status_code == 404
    assert (await client.get(f"{files}/content?path=../a")).status_code == 422


async def test_files_on_another_host_are_those_of_the_snapshot(
    world: World, client: Client, workspace: SessionFiles
) -> None:
    root = workspace.root
    (root / "out/deep").mkdir(parents=True)
    (root / "out/a.txt").write_bytes(b"0123456789")
    (root / "out/empty").touch()
    (root / "large").write_bytes(os.urandom(5 * 1024 * 1024))
    (root / "inside").symlink_to("out/deep/../a.txt")
    (root / "absolute").symlink_to("/workspace/out")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("loop")
    with (root / "sparse").open("wb") as file:
        file.truncate(3 * 1024 * 1024)
        file.seek(1024 * 1024)
        file.write(b"middle" * 1000)
    before = await all_answers(client, workspace)
    await save(world, workspace)
    assert await all_answers(client, workspace) == before
    assert ("inside", 200) in [(path, status) for path, status, *_ in before]


async def save(world: World, workspace: SessionFiles) -> None:
    """Save the workspace, and let another host hold it."""
    private = workspace.root.parent / ".private"
    private.mkdir()
    blobs = world.gateway.services.blobs
    saved = await Snapshots(blobs, private, owner=None).save(workspace.root, None)
    assert saved is not None
    session_id = UUID(workspace.root.name)
    async with world.gateway.database.transaction() as session:
        found = await session.scalars(
            select(ExecutionRow).where(ExecutionRow.session_id == session_id)
        )
        row = found.one()
        owner = WorkspaceOwner(row.id, session_id, row.user_id)
        await workspaces.record(session, owner, saved)
    await hold(world, session_id, new_id())


async def all_answers(client: Client, workspace: SessionFiles) -> list[tuple[Any, ...]]:
    """What clients see: lists, contents, parts, refusals, and the members of the archive."""
    answers: list[tuple[Any, ...]] = []
    for directory in (".", "out", "absolute", "out/a.txt", "missing", "../x", "outside"):
        response = await client.get(workspace.files, params={"path": directory})
        items = [(f["path"], f["type"], f["size_bytes"]) for f in response.json().get("items", [])]
        answers.append((directory, response.status_code, items))
    for path in ("out/a.txt", "out/empty", "large", "sparse", "inside", "absolute/a.txt", "loop",
                 "outside", "out", "missing", "/etc/passwd"):  # fmt: skip
        for headers in ({}, {"Range": "bytes=3-1100000"}):
            response = await client.get(
                f"{workspace.files}/content", params={"path": path}, headers=headers
            )
            content = response.content if response.is_success else response.json()["code"]
            answers.append((path, response.status_code, content))
    archive = await client.get(f"{workspace.files}/archive")
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
        members: list[tuple[Any, ...]] = [(m.name, m.type, m.mode, m.linkname) for m in tar]
        for name in ("out/a.txt", "large", "sparse", LEFT_OUT):
            file = tar.extractfile(name)
            assert file is not None
            members.append((name, file.read()))
    return [*answers, *sorted(members)]


async def test_a_hole_of_any_size_is_sent_in_parts(world: World) -> None:
    saved = SavedWorkspace(world.gateway.services.blobs, WorkspaceIndex(), datetime.now(UTC))
    hole = SavedEntry("f", 0o644, size=1 << 60, ranges=())
    assert await anext(saved._read(hole, 0)) == bytes(CHUNK_BYTES)


async def test_files_elsewhere_and_of_others(world: World, client: Client, other: Client) -> None:
    execution = await execute(client, await make_task(client))
    session_id = await give_session(world, execution)
    await hold(world, session_id, new_id())
    async with world.gateway.database.transaction() as session:
        change = update(SessionRow).where(SessionRow.id == session_id)
        await session.execute(change.values(workspace_bytes=1))
    for route in ("", "/content?path=a", "/archive"):
        elsewhere = await client.get(f"{execution['_links']['files']}{route}")
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "files_elsewhere")
        assert (await other.get(f"{execution['_links']['files']}{route}")).status_code == 403
