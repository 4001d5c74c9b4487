"""A person in a browser: Chromium, driven by Playwright."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000

PAINT = """new Promise(resolve => new PerformanceObserver(list =>
  resolve(list.getEntriesByName("first-contentful-paint")[0].startTime)
).observe({type: "paint", buffered: true}))"""
"""Milliseconds from the start of the navigation to the first text (web.dev, "FCP")."""

SHIFTS = """new Promise(resolve => new PerformanceObserver(list =>
  resolve(list.getEntries().filter(e => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0))
).observe({type: "layout-shift", buffered: true}) || setTimeout(() => resolve(0), 500))"""
"""The layout shifts since the page was opened (web.dev, "CLS")."""


@dataclass(slots=True)
class Steps:
    """What a person has done, with the seconds since the start."""

    began: float
    done: list[tuple[str, float]] = field(default_factory=list)

    def add(self, what: str) -> None:
        """Record that a step is done."""
        self.done.append((what, time.perf_counter() - self.began))


@dataclass(frozen=True, slots=True)
class Load:
    """The first load of a page, with an empty cache."""

    kilobytes: float
    paint_ms: float
    shift: float


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser. Without its own sandbox, which refuses to start for root; the pages are ours."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def signed_in_page(
    browser: Browser, http: httpx2.AsyncClient, path: str
) -> AsyncIterator[Page]:
    """A page in a browser with an empty cache, after the link of `perdure inbox open`."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    made = await http.post("/api/v1/sign-in-codes", json={"next": path})
    await page.goto(made.raise_for_status().json()["url"])
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**{path}")
    yield page
    await context.close()


async def approve_first_call(browser: Browser, http: httpx2.AsyncClient, steps: Steps) -> None:
    """What `/start` leads a newcomer through: run the first task, and approve its command."""
    async with signed_in_page(browser, http, "/start") as page:
        steps.add("signed in")
        await page.get_by_role("button", name="Run ").click()
        request = page.get_by_role("link", name="Run bash?")
        await request.wait_for()
        steps.add("the first task asks for an approval")
        await request.click()
        await page.wait_for_url("**/inbox/*")
        await page.keyboard.press("a")
        await page.get_by_role("heading", name="Approved").wait_for()
        steps.add("approved with a key")
        await page.get_by_role("link", name="Follow it").click()
        await page.get_by_text("The command printed: Hello, world!").wait_for()
        steps.add("the output of the approved command is on the page")


async def measure_loads(
    browser: Browser, http: httpx2.AsyncClient, path: str, count: int
) -> Sequence[Load]:
    """The first loads of a page, each in a browser that has nothing of it in its cache."""
    return [await _load(browser, http, path) for _ in range(count)]


async def _load(browser: Browser, http: httpx2.AsyncClient, path: str) -> Load:
    async with signed_in_page(browser, http, path) as page:
        network = await page.context.new_cdp_session(page)
        sizes: list[float] = []

        def count(event: dict[str, Any]) -> None:
            sizes.append(event["encodedDataLength"])

        network.on("Network.loadingFinished", count)
        await network.send("Network.enable")
        await network.send("Network.clearBrowserCache")
        await page.goto(path_of(page, path), wait_until="networkidle")
        paint_ms, shift = await page.evaluate(PAINT), await page.evaluate(SHIFTS)
    return Load(sum(sizes) / 1000, paint_ms, shift)


def path_of(page: Page, path: str) -> str:
    """The address of a path on the gateway that has the page."""
    return str(httpx2.URL(page.url).join(path))
