"""Debian's Chromium, driven by Playwright."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"

expect.set_options(timeout=30_000)  # a busy machine takes longer than the default of 5 seconds


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each opens a context of its own.

    Without Chromium's own sandbox, which refuses to start for root; the pages are ours.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()
