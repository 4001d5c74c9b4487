"""Large artifacts pass through a gateway in constant memory."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import psutil
import pytest

from cli.stack.addresses import free_port
from cli.tokens import mint
from tests.api.world import SECRET
from tests.stack import start
from tests.waiting import eventually

MIB = 1024 * 1024
PART = os.urandom(MIB)
GROWTH = 60 * MIB


@asynccontextmanager
async def gateway(home: Path, **environment: str) -> AsyncIterator[tuple[psutil.Process, str]]:
    """A gateway in a process of its own, and its address."""
    port = str(free_port())
    more = {"PERDURE_API_PORT": port, "PERDURE_JWT_SECRET": SECRET, **environment}
    process = start(home, "api", more=more)
    address = f"http://127.0.0.1:{port}"

    async def is_ready() -> bool:
        try:
            async with httpx2.AsyncClient() as client:
                return (await client.get(f"{address}/health/ready")).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        await eventually(is_ready, within=180)
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def parts(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PART


async def transfer(client: httpx2.AsyncClient, count: int) -> None:
    """Upload so many MiB, and download them."""
    made = await client.post("/api/v1/artifacts/upload", content=parts(count))
    assert made.status_code == 201, made.text
    digest = hashlib.sha256()
    async with client.stream("GET", made.json()["_links"]["content"]) as response:
        async for chunk in response.aiter_bytes():
            digest.update(chunk)
    assert digest.hexdigest() == made.json()["sha256"]
    assert made.json()["size_bytes"] == count * MIB


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", ["directory", "objects"])
async def test_a_gigabyte_needs_little_memory(
    store: str, database_url: str, temporal_address: str, tmp_path: Path, bucket: str
) -> None:
    environment = {
        "PERDURE_DATABASE_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": temporal_address,
        "PERDURE_ARTIFACTS_URL": bucket if store == "objects" else "",
    }
    token = mint(SECRET, user="alice", role="user", lives=timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        gateway(tmp_path / "home", **environment) as (process, address),
        httpx2.AsyncClient(base_url=address, headers=headers, timeout=600) as client,
    ):
        await transfer(client, 1)  # what a process loads once
        before = process.memory_info().rss
        most = before

        async def measure() -> None:
            nonlocal most
            while True:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.02)

        measuring = asyncio.create_task(measure())
        try:
            await transfer(client, 1024)
        finally:
            measuring.cancel()
    assert most - before < GROWTH, f"{(most - before) / MIB:.1f} MiB"
