"""The OpenAPI document is true: Schemathesis asks every route what it says, and what it does not.

As a user and as an admin, with every check. `make verify` takes every phase of it, and asks 10,000
times and more.
"""

import asyncio
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from fastapi import FastAPI

from api.http import openapi
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


async def test_the_document_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no credentials, so a request for it must cost little."""
    made = 0

    def describe(app: FastAPI) -> dict[str, Any]:
        nonlocal made
        made += 1
        return {"title": app.title}

    monkeypatch.setattr(openapi, "describe", describe)
    app = FastAPI(openapi_url=None)
    openapi.serve(app)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://localhost"
    ) as client:
        answers = [await client.get("/openapi.json") for _ in range(3)]
    assert [answer.json() for answer in answers] == [{"title": "FastAPI"}] * 3
    assert made == 1


async def read_document(world: World) -> dict[str, Any]:
    async with httpx2.AsyncClient() as client:
        document: dict[str, Any] = (await client.get(f"{world.url}/openapi.json")).json()
    return document


async def test_the_document_describes_everything(world: World) -> None:
    document = await read_document(world)
    operations = [one for item in document["paths"].values() for one in item.values()]
    unnamed = [
        f"{one['operationId']} {parameter['name']}"
        for one in operations
        for parameter in one.get("parameters", ())
        if not parameter.get("description")
    ]
    assert unnamed == []
    assert [one["operationId"] for one in operations if one["summary"].istitle()] == []
    assert {tag for one in operations for tag in one["tags"]} == {
        tag["name"] for tag in document["tags"]
    }
    assert document["servers"]


async def test_every_body_has_an_example_that_fits(world: World) -> None:
    document = await read_document(world)
    for item in document["paths"].values():
        for one in item.values():
            content = one.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            schema = {**content["schema"], "components": document["components"]}
            jsonschema.validate(content["example"], schema)
