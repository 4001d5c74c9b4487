import base64
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from persistence.tables.sessions import ArtifactRow
from tests.api.world import World, execute, give_session, make_task

Client = httpx2.AsyncClient
BYTES = b"0123456789" * 10


@pytest.fixture
async def artifact(world: World, client: Client) -> str:
    """The path of an artifact whose bytes are in the store."""
    execution = await execute(client, await make_task(client))
    stored = await world.gateway.services.blobs.add(BYTES)
    async with world.gateway.database.transaction() as session:
        row = ArtifactRow(
            user_id=UUID(execution["user_id"]),
            execution_id=UUID(execution["id"]),
            kind="artifact",
            name='out/r\u00e9sum\u00e9 "1".txt',
            media_type="text/plain",
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
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
    known = await client.get(
        f"{artifact}/content", headers={"If-None-Match": whole.headers["etag"]}
    )
    assert (known.status_code, known.content) == (304, b"")
    head = await client.head(f"{artifact}/content")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(BYTES))
    part = await client.get(f"{artifact}/content", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, b"56789")
    assert part.headers["content-range"] == "bytes 5-9/100"
    beyond = await client.get(f"{artifact}/content", headers={"Range": "bytes=200-"})
    assert beyond.status_code == 416
    for path in (artifact, f"{artifact}/content"):
        assert (await other.get(path)).status_code == 403


async def test_content_that_this_machine_lacks_is_reported(
    world: World, client: Client, artifact: str
) -> None:
    sha256 = hashlib.sha256(BYTES).hexdigest()
    await world.gateway.services.blobs.store.delete(sha256)
    missing = await client.get(f"{artifact}/content")
    assert (missing.status_code, missing.json()["code"]) == (404, "content_missing")


async def test_an_uploaded_file_belongs_to_its_execution(client: Client, other: Client) -> None:
    execution = await execute(client, await make_task(client))
    body = {"name": "out/notes.md", "content": "# é", "execution_id": execution["id"]}
    headers = {"Idempotency-Key": execution["id"]}
    made = await client.post("/api/v1/artifacts", json=body, headers=headers)
    assert made.status_code == 201, made.text
    artifact = made.json()
    assert (await client.post("/api/v1/artifacts", json=body, headers=headers)).json() == artifact
    content = "# é".encode()
    assert artifact["sha256"] == hashlib.sha256(content).hexdigest()
    assert (artifact["size_bytes"], artifact["media_type"]) == (len(content), "text/markdown")
    read = await client.get(made.headers["location"])
    assert (read.json(), read.headers["etag"]) == (artifact, made.headers["etag"])
    assert (await client.get(artifact["_links"]["content"])).content == content
    assert (await other.get(made.headers["location"])).status_code == 403
    (listed,) = (await client.get(execution["_links"]["artifacts"])).json()["items"]
    assert listed == artifact
    events = (await client.get(execution["_links"]["events"])).json()["items"]
    assert (events[-1]["type"], events[-1]["data"]["artifact_id"]) == (
        "artifact.saved",
        artifact["id"],
    )
    assert (await other.post("/api/v1/artifacts", json=body)).status_code == 403
    await client.post(execution["_links"]["cancel"])


async def test_a_file_of_bytes_belongs_to_nothing(client: Client) -> None:
    body = {"name": "blob", "content_base64": "AP8="}
    made = (await client.post("/api/v1/artifacts", json=body)).json()
    assert (made["execution_id"], made["media_type"]) == (None, "application/octet-stream")
    assert (await client.get(made["_links"]["content"])).content == b"\x00\xff"


async def test_a_text_in_another_encoding_is_not_served_as_utf_8(client: Client) -> None:
    content = base64.b64encode("é".encode("utf-16")).decode()
    body = {"name": "notes.txt", "content_base64": content}
    made = (await client.post("/api/v1/artifacts", json=body)).json()
    served = await client.get(made["_links"]["content"])
    assert served.headers["content-type"] == "text/plain"


@pytest.fixture
def unwritable(world: World) -> Iterator[None]:
    """The store is a directory of the kernel's, in which not even root makes files."""
    store = world.gateway.settings.home / "artifacts"
    store.mkdir(parents=True, exist_ok=True)
    aside = store.rename(store.with_name("aside"))
    store.symlink_to("/sys")
    yield
    store.unlink()
    aside.rename(store)


async def test_a_gateway_that_may_not_write_says_so(client: Client, unwritable: None) -> None:
    del unwritable
    refused = await client.post("/api/v1/artifacts", json={"name": "x", "content": "x"})
    assert (refused.status_code, refused.json()["code"]) == (503, "artifacts_unavailable")
    assert "not writable" in refused.json()["detail"]


async def test_an_ended_execution_keeps_its_files(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    await give_session(world, execution, "completed")
    body = {"name": "late", "content": "x", "execution_id": execution["id"]}
    refused = await client.post("/api/v1/artifacts", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "execution_terminal")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": " ", "content": "x"},
        {"name": "x", "content": "x", "content_base64": "eA=="},
        {"name": "x", "content_base64": "not base64"},
        {"name": "x", "content_base64": "é"},
        {"name": "x", "content": "x", "media_type": "text"},
        {"name": "x", "content": "x", "media_type": "text/plain\r\nX: y"},
    ],
)
async def test_invalid_files_are_refused(client: Client, body: dict[str, str]) -> None:
    refused = await client.post("/api/v1/artifacts", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")


async def parts(content: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield content


async def test_an_upload_may_be_larger_than_other_bodies(
    world: World, client: Client, other: Client
) -> None:
    part, count = b"\x89PNG\r\n\x1a\n" + os.urandom(1024 * 1024), 8
    assert len(part) * count > world.gateway.settings.api_body_limit_bytes
    execution = await execute(client, await make_task(client))
    facts = {"name": "a.txt", "execution_id": execution["id"]}
    key = {"Idempotency-Key": execution["id"]}

    async def upload(who: Client, times: int = count, **query: str) -> httpx2.Response:
        content = parts(part, times)
        params = {**facts, **query}
        return await who.post(
            "/api/v1/artifacts/upload", params=params, content=content, headers=key
        )

    made = await upload(client)
    assert made.status_code == 201, made.text
    assert made.json()["size_bytes"] == len(part) * count
    assert made.json()["media_type"] == "image/png"
    repeated = await upload(client)
    assert (repeated.json(), repeated.headers["idempotency-replayed"]) == (made.json(), "true")
    for changed in (await upload(client, 1), await upload(client, name="b")):
        assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    assert (await upload(other)).status_code == 403
    content = await client.get(made.json()["_links"]["content"])
    assert content.content == part * count
    assert content.headers["x-content-type-options"] == "nosniff"
    assert content.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert content.headers["content-disposition"] == "attachment; filename*=UTF-8''a.txt"
    assert {path.name for path in incoming_files(world)} == set()
    await client.post(execution["_links"]["cancel"])


def incoming_files(world: World) -> list[Path]:
    directory = world.gateway.services.blobs.store.incoming
    return [path for path in directory.iterdir() if path.is_file()]
