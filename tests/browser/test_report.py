"""The HTML report in a browser: one local file, light and dark, at any width."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.database import Database
from persistence.reporting import reports
from reports.compose import compose_json
from reports.render import render
from services.reports import store_report
from tests.reports import examples
from tests.reports.execution_builder import ExecutionBuilder

pytestmark = pytest.mark.long

Light = Literal["light", "dark"]
Example = Callable[[AsyncSession], Awaitable[ExecutionBuilder]]

PHONE, DESK = 375, 1280

CONTRAST = """() => {
  const channels = c => c.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = channels(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.matches('.skip')) continue;
    const [a, b] = [luminance(channels(getComputedStyle(e).color)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([e.tagName, e.className, ratio, e.textContent.slice(0, 40)]);
  }
  return found;
}"""
"""Texts with less contrast than WCAG 2.2 (AA) requires."""


@pytest.fixture
async def saved(database_url: str, tmp_path: Path) -> Callable[[Example], Awaitable[str]]:
    """Writes an example and saves its report; returns the address of the file."""

    async def save(example: Example) -> str:
        database = Database.connect(database_url)
        async with database.transaction() as session:
            execution_id = (await example(session)).row.id
        await store_report(database, execution_id, compose_json)
        async with database.reading() as session:
            row = await reports.find_newest(session, execution_id)
        await database.close()
        assert row is not None
        file = tmp_path / "report.html"
        file.write_bytes(render(row.content, "html"))
        return file.as_uri()

    return save


@asynccontextmanager
async def opened(
    browser: Browser, address: str, *, light: Light = "light", width: int = DESK
) -> AsyncIterator[Page]:
    """The page; checks that it makes no request and reports no error while it is open."""
    context = await browser.new_context(
        color_scheme=light, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = await context.new_page()
    requests: list[str] = []
    errors: list[Any] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108 - built-ins have no attributes
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    await page.goto(address)
    yield page
    await context.close()
    assert requests == [address]
    assert not errors


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_the_page_is_readable(
    browser: Browser, saved: Callable[[Example], Awaitable[str]], light: Light, width: int
) -> None:
    address = await saved(examples.ordinary)
    async with opened(browser, address, light=light, width=width) as page:
        assert await page.locator("h1").inner_text() == (
            "Nightly check of the orders against their payments"
        )
        sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(sideways) == 0
        page_colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, page_colour[4:-1].split(","))) < 384) is (light == "dark")
        assert await page.evaluate(CONTRAST) == []


async def test_the_page_works_with_the_keyboard(
    browser: Browser, saved: Callable[[Example], Awaitable[str]]
) -> None:
    async with opened(browser, (address := await saved(examples.ordinary))) as page:
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        assert page.url == f"{address}#main"
        call = page.locator("#transcript details.call").first
        await call.locator("summary").focus()
        await page.keyboard.press("Enter")
        assert await call.locator("pre").last.is_visible()


async def test_a_statement_links_to_its_message(
    browser: Browser, saved: Callable[[Example], Awaitable[str]]
) -> None:
    async with opened(browser, await saved(examples.ordinary)) as page:
        await page.get_by_role("link", name="message 12", exact=True).click()
        assert await page.locator("#message-12:target").count() == 1


async def test_hostile_text_has_no_effect(
    browser: Browser, saved: Callable[[Example], Awaitable[str]]
) -> None:
    async with opened(browser, await saved(examples.hostile)) as page:
        assert await page.locator("script, img, iframe, object, form, link, base").count() == 0
        assert await page.title() == await page.locator("h1").text_content()
        for summary in await page.locator("summary").all():
            await summary.click()


async def test_folds_are_printed(
    browser: Browser, saved: Callable[[Example], Awaitable[str]]
) -> None:
    async with opened(browser, await saved(examples.ordinary)) as page:
        output = page.get_by_text("1281 rows")
        assert not await output.is_visible()
        await page.emulate_media(media="print")
        assert (await output.bounding_box() or {"height": 0})["height"] > 0
        assert not await page.locator("nav").is_visible()


async def test_a_wide_table_on_a_phone_shows_that_it_continues(
    browser: Browser, saved: Callable[[Example], Awaitable[str]]
) -> None:
    async with opened(browser, await saved(examples.ordinary), width=PHONE) as page:
        wide = page.locator(".scroll").filter(has=page.locator("table"))
        cut = await wide.evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth)"
            ".map(e => getComputedStyle(e).backgroundAttachment)"
        )
    assert cut
    assert set(cut) == {"local, local, scroll, scroll"}
