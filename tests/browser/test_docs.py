"""Documentation in a real browser: the API's description, and the site opened from disk."""

import subprocess

import pytest
from playwright.async_api import Browser, expect

from api.main import create_app
from tests.api.conftest import serve_app, settings_of
from tests.e2e.documents import REPOSITORY

pytestmark = pytest.mark.long


async def test_the_api_page_loads_nothing_from_other_hosts(browser: Browser) -> None:
    app = create_app(settings_of("postgresql://x@127.0.0.1/x", "127.0.0.1:1"))
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    requested: list[str] = []
    console: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    async with serve_app(app) as url:
        await page.goto(f"{url}/docs")
        await expect(page.locator("[data-tag=executions]")).to_be_visible()
        assert [address for address in requested if not address.startswith((url, "data:"))] == []
        assert console == []
    await context.close()


async def test_the_site_and_its_search_work_from_disk(browser: Browser) -> None:
    subprocess.run(["make", "-s", "docs"], cwd=REPOSITORY, check=True)  # noqa: ASYNC221, S607
    page = await browser.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    await page.goto((REPOSITORY / "site" / "guides" / "tasks.html").as_uri())
    await page.keyboard.press("Control+k")
    await page.keyboard.type("Idempotency-Key")
    await expect(page.get_by_text("Use the HTTP API")).to_be_visible()
    assert [url for url in requested if not url.startswith(("file:", "data:", "blob:"))] == []
    await page.close()
