"""The OpenAPI document is true: Schemathesis asks every route what it says, and what it does not.

As a user and as an admin, with every check. `make verify` takes every phase of it, and asks 10,000
times and more.
"""

import asyncio
import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from cli.tokens import mint
from tests.api.world import SECRET, World

CONFIG = Path(__file__).with_name("schemathesis.toml")


async def schemathesis(world: World, role: str, *options: str) -> tuple[int, str]:
    """Its exit code and what it says."""
    token = mint(SECRET, user=f"schemathesis-{role}", role=role, lives=timedelta(hours=1))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("st")),
        f"--config-file={CONFIG}",
        "--no-color",
        "run",
        f"{world.url}/openapi.json",
        f"--header=Authorization: Bearer {token}",
        "--checks=all",
        "--generation-database=none",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["user", "admin"])
async def test_every_route_does_what_its_description_says(world: World, role: str) -> None:
    code, output = await schemathesis(world, role, "--phases=fuzzing,stateful", "--max-examples=3")
    assert code == 0, output


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("role", ["user", "admin"])
async def test_ten_thousand_requests_find_nothing(world: World, role: str) -> None:
    code, output = await schemathesis(world, role, "--max-examples=60")
    assert code == 0, output
    [tried] = re.findall(r"(\d+) generated", output)
    assert int(tried) > 10_000, output
