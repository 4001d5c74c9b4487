"""Browsers without scripts, and the pages that they open."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx2
import pytest

from tests.api.world import World, ask, execute, give_session, make_task

Client = httpx2.AsyncClient
API = "/api/v1"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def browser(world: World) -> Client:
    """A client with cookies and without credentials."""
    return Client(base_url=world.url, timeout=60, headers={"Accept": "text/html"})


async def sign_in(world: World, user: str) -> Client:
    """A browser that has opened the link of `perdure inbox open` and clicked the button."""
    async with world.client(user) as client:
        made = await client.post(f"{API}/sign-in-codes")
    assert made.status_code == 201, made.text
    page = browser(world)
    url = httpx2.URL(made.json()["url"])
    response = await page.post("/sign-in", data=dict(url.params))
    assert (response.status_code, response.headers["location"]) == (303, "/inbox")
    return page


@pytest.fixture(scope="module")
async def alice(world: World) -> AsyncIterator[Client]:
    page = await sign_in(world, "alice")
    yield page
    await page.aclose()


async def new_request(world: World, **fields: Any) -> str:
    """The path of the page of an open request of alice or another `user`."""
    async with world.client(fields.pop("user", "alice")) as client:
        execution = await execute(client, await make_task(client))
        await give_session(world, execution, "waiting_for_user")
        return f"/inbox/{await ask(world, execution, **fields)}"


async def read_request(world: World, path: str, user: str = "alice") -> dict[str, Any]:
    """The request as the API returns it."""
    async with world.client(user) as client:
        response = await client.get(f"{API}/input-requests/{path.rpartition('/')[2]}")
    request: dict[str, Any] = response.json()
    return request


async def submit(page: Client, path: str, **fields: Any) -> httpx2.Response:
    """Open the page, fill in the form and send it."""
    opened = await page.get(path)
    assert opened.status_code == 200, opened.text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', opened.text))
    return await page.post(path, data=hidden | fields)


def words(response: httpx2.Response) -> str:
    """The text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def read_input(opened: httpx2.Response) -> dict[str, str]:
    """The fields of the editable input."""
    areas = r'<textarea id="(input[^"]*)"[^>]*>\n(.*?)</textarea>'
    found = {name: unescape(text) for name, text in re.findall(areas, opened.text, re.DOTALL)}
    assert found
    return found
