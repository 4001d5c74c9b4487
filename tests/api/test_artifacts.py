import hashlib
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from persistence.tables.artifacts import ArtifactRow
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient
BYTES = b"0123456789" * 10


@pytest.fixture
async def artifact(world: World, client: Client, tmp_path: Path) -> str:
    """The path of an artifact whose bytes are in the store."""
    execution = await execute(client, await make_task(client))
    sha256 = hashlib.sha256(BYTES).hexdigest()
    (tmp_path / "out").write_bytes(BYTES)
    await world.gateway.blobs.put(tmp_path / "out", sha256)
    async with world.gateway.database.transaction() as session:
        row = ArtifactRow(
            user_id=UUID(execution["user_id"]),
            execution_id=UUID(execution["id"]),
            kind="artifact",
            name='out/r\u00e9sum\u00e9 "1".txt',
            media_type="text/plain",
            size_bytes=len(BYTES),
            sha256=sha256,
        )
        session.add(row)
    listed = (await client.get(execution["_links"]["artifacts"])).json()
    assert [a["id"] for a in listed["items"]] == [str(row.id)]
    return f"/api/v1/artifacts/{row.id}"


async def test_content_comes_whole_or_in_ranges(
    client: Client, other: Client, artifact: str
) -> None:
    read = (await client.get(artifact)).json()
    assert read["size_bytes"] == len(BYTES)
    whole = await client.get(read["_links"]["content"])
    assert (whole.status_code, whole.content) == (200, BYTES)
    assert whole.headers["content-disposition"].startswith("attachment;")
    part = await client.get(f"{artifact}/content", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, b"56789")
    assert part.headers["content-range"] == "bytes 5-9/100"
    beyond = await client.get(f"{artifact}/content", headers={"Range": "bytes=200-"})
    assert beyond.status_code == 416
    for path in (artifact, f"{artifact}/content"):
        assert (await other.get(path)).status_code == 403


async def test_bytes_that_are_elsewhere_are_told(
    world: World, client: Client, artifact: str
) -> None:
    world.gateway.blobs.path(hashlib.sha256(BYTES).hexdigest()).unlink()
    missing = await client.get(f"{artifact}/content")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
