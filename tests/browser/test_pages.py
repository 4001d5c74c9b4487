"""All pages in a real browser: light, dark and small, by keyboard, and without layout shifts."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from api.main import create_app
from domain.ids import new_id
from tests.api.conftest import serve_app, settings_of
from tests.api.test_pages import ELSEWHERE, end_with_prompt, fill, list_pages, make_values
from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task
from tests.browser.test_request_page import DESK, PHONE, check, new_request, opened

pytestmark = pytest.mark.long

FRAGMENTS = {"/inbox/count", "/tasks/cron", "/plans/{plan_id}/graph.svg", "/plans/{plan_id}/report",
    "/artifacts/{artifact_id}", "/reports/{report_id}", "/users", "/audit/verification",
    "/executions/{execution_id}/updates", "/sessions/{session_id}/updates"}  # fmt: skip
"""Parts of pages and files; and pages of admins."""

SHIFTS = """new Promise(resolve => new PerformanceObserver(list =>
  resolve(list.getEntries().filter(e => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0))
).observe({type: "layout-shift", buffered: true}) || setTimeout(() => resolve(0), 300))"""
"""The layout shifts since the page was opened (web.dev, "CLS")."""


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("home")
    app = create_app(settings_of(module_database_url, temporal_address, home=home))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def test_every_page_is_readable(browser: Browser, world: World) -> None:
    cache: dict[str, dict[str, str]] = {}
    async with opened(browser, world, "/inbox") as page:
        for path in sorted(set(list_pages("GET")) - ELSEWHERE.keys() - FRAGMENTS):
            address = fill(path, await make_values(world, path, cache))
            name = path.strip("/").replace("/", "-")
            await page.emulate_media(color_scheme="light")
            await page.set_viewport_size({"width": DESK, "height": 900})
            await page.goto(address)
            assert await page.evaluate(SHIFTS) == 0, path
            await check(page, f"{name}-light-{DESK}")
            await page.emulate_media(color_scheme="dark")
            await page.set_viewport_size({"width": PHONE, "height": 844})
            await check(page, f"{name}-dark-{PHONE}")


async def test_the_forms_of_buttons_fit_on_a_phone(browser: Browser, world: World) -> None:
    async with world.client("alice") as client:
        running = await execute(client, await make_task(client))
        ended = await execute(client, await make_task(client))
    await give_session(world, running)
    await give_session(world, ended)
    await end_with_prompt(world, ended)
    async with opened(browser, world, "/executions", width=PHONE) as page:
        for execution, button in ((running, "Cancel"), (ended, "Fork")):
            await page.goto(f"/executions/{execution['id']}")
            await page.locator("summary", has_text=button).click()
            box = await page.locator(".more[open] > .card").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert PHONE * 0.7 < box["width"] <= PHONE - box["x"]


async def test_a_list_is_used_with_the_keyboard(browser: Browser, world: World) -> None:
    mark = new_id().hex
    for number in (1, 2, 3):
        await new_request(world, **APPROVAL | {"title": f"Run {number} of {mark}?"})
    async with opened(browser, world, "/inbox") as page:
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await expect(page.get_by_role("link", name=f"Run 2 of {mark}?")).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name=f"Run 3 of {mark}?")).to_be_visible()
        await page.wait_for_load_state()  # the script that handles keys runs after the heading
        await page.keyboard.press("c")
        await page.keyboard.type("a")  # in a text, a key is a letter
        await expect(page.get_by_label("Add a comment")).to_have_value("a")
        await page.get_by_label("Add a comment").blur()
        await page.keyboard.press("?")
        await page.get_by_label("Switch the keys off in this browser").check()
        await page.keyboard.press("Escape")
        await page.keyboard.press("a")
        await expect(page.get_by_role("heading", name="Your decision")).to_be_visible()
        await page.keyboard.press("?")
        await page.get_by_label("Switch the keys off in this browser").uncheck()
        await page.get_by_role("button", name="Close").click()
        await page.keyboard.press("a")
        await expect(page.get_by_role("heading", name="Approved", exact=True)).to_be_visible()


async def test_checked_requests_are_decided_together(browser: Browser, world: World) -> None:
    async with world.client("alice") as client:
        task = await make_task(client)
        for number in (1, 2, 3):
            execution = await execute(client, task)
            await give_session(world, execution, "waiting_for_user")
            call = {"title": f"Push {number}?", "tool_input": f'{{"command": "push {number}"}}'}
            await ask(world, execution, **APPROVAL | call)
    async with opened(browser, world, "/inbox", width=PHONE) as page:
        for number in (1, 2):
            await page.get_by_role("checkbox", name=f"Choose Push {number}?").check()
        async with page.expect_response("**/inbox"):
            await page.evaluate("htmx.trigger(document.body, 'news')")
        await expect(page.get_by_role("checkbox", name="Choose Push 1?")).to_be_checked()
        await page.get_by_role("button", name="Decide the checked ones together").click()
        await expect(page.get_by_text("push 1", exact=True)).to_be_visible()
        await expect(page.get_by_text("push 3", exact=True)).to_have_count(0)
        await check(page, "together")
        await page.keyboard.press("a")
        await expect(page.get_by_role("heading", name="2 requests answered")).to_be_visible()
        await check(page, "together-done")


async def test_a_hidden_page_reads_only_the_number_of_requests(
    browser: Browser, world: World
) -> None:
    async with opened(browser, world, "/executions") as page:
        await page.clock.install()
        await page.reload(wait_until="networkidle")
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
        await page.evaluate(hide % "true")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        async with page.expect_response("**/inbox/count"):
            await page.clock.run_for(60_000)
        assert len(asked) == 1
        await page.evaluate(hide % "false")
        async with page.expect_response("**/inbox/count"):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert len(asked) == 3


async def test_a_cron_expression_is_explained_while_it_is_typed(
    browser: Browser, world: World
) -> None:
    async with opened(browser, world, "/tasks/new") as page:
        await page.get_by_label("Cron expression").fill("*/10 9-17 * * 1-5")
        await expect(page.get_by_text("Every 10 minutes, from 09:00 to 17:50")).to_be_visible()
        await page.get_by_label("Time zone").fill("Mars/Olympus")
        await expect(page.get_by_text("There is no such time zone")).to_be_visible()


async def test_the_menu_opens_on_a_phone(browser: Browser, world: World) -> None:
    async with opened(browser, world, "/inbox", width=PHONE, scripts=False) as page:
        await expect(page.get_by_role("link", name="Tasks")).to_be_hidden()
        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("link", name="Tasks").click()
        await expect(page.get_by_role("heading", name="Tasks")).to_be_visible()


async def test_a_run_has_a_field_for_each_variable(browser: Browser, world: World) -> None:
    async with world.client("alice") as client:
        task = await make_task(client, description="Greets.")
    async with opened(browser, world, f"/tasks/{task['id']}/run", width=PHONE) as page:
        await expect(page.get_by_label("tongue")).to_have_value("French")
        await page.get_by_label("name").fill("Ada")
        await page.get_by_role("button", name="Dry run").click()
        await expect(page.get_by_text("Say hello to Ada in French.")).to_be_visible()
        await check(page, "dry-run")
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
