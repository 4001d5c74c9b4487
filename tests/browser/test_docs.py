"""The API's description in a real browser: from our own files, under its policy, without errors."""

import pytest
from playwright.async_api import Browser, expect

from api.main import create_app
from tests.api.conftest import serve_app, settings_of

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
        await expect(page.get_by_text("/api/v1/tasks/{task_id}/execute").first).to_be_visible()
        assert [address for address in requested if not address.startswith((url, "data:"))] == []
        assert console == []
    await context.close()
