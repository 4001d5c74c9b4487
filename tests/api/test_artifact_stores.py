"""Artifacts in object storage: gateways share no disk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.main import create_app
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World

CONTENT = "0123456789" * 200_000  # more than the reader fetches at once


@asynccontextmanager
async def gateway(
    database_url: str, temporal_address: str, home: Path, url: str
) -> AsyncIterator[World]:
    app = create_app(settings_of(database_url, temporal_address, home=home, artifacts_url=url))
    async with serve_app(app) as address:
        yield World(address, app.state.gateway)


def directories_of_artifacts(homes: Path) -> list[Path]:
    return list(homes.glob("*/artifacts"))


async def test_gateways_share_only_the_object_storage(
    database_url: str,
    temporal_address: str,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = gateway(database_url, temporal_address, tmp_path / "one", bucket)
    two = gateway(database_url, temporal_address, tmp_path / "two", bucket)
    async with one as first, first.client("alice") as client:
        made = await client.post("/api/v1/artifacts", json={"name": "a.txt", "content": CONTENT})
        assert made.status_code == 201, made.text
        path = made.json()["_links"]["content"]
    async with two as second, second.client("alice") as client:
        assert (await client.get(path)).text == CONTENT
        parts = await client.get(path, headers={"Range": "bytes=1-3,1999998-"})
        assert parts.status_code == 206
        assert b"\r\n\r\n123\r\n" in parts.content
        assert b"\r\n\r\n89\r\n" in parts.content
    assert not directories_of_artifacts(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret key")
    third = gateway(database_url, temporal_address, tmp_path / "three", bucket)
    async with third as refused, refused.client("alice") as client:
        for response in (
            await client.get(path),
            await client.post("/api/v1/artifacts", json={"name": "b", "content": "b"}),
        ):
            assert (response.status_code, response.json()["code"]) == (503, "artifacts_unavailable")
            assert response.headers["retry-after"]
