"""The pages of the inbox in a real browser: by keyboard, without scripts, light, dark and small."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, expect

from api.main import create_app
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import MessageRow, ToolCallRow
from tests.api.conftest import serve_app, settings_of
from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task
from tests.node import installed_packages

pytestmark = pytest.mark.long

Light = Literal["light", "dark"]
REPORTED = {"error", "warning"}
PHONE, DESK = 390, 1280
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

FORM = {
    "type": "object",
    "properties": {
        "environment": {"title": "Environment", "enum": ["staging", "production"]},
        "notify": {"type": "boolean", "title": "Notify the team"},
        "window": {
            "type": "object",
            "title": "Maintenance window",
            "description": "When the release may start.",
            "properties": {
                "day": {"type": "string", "format": "date", "title": "Day"},
                "minutes": {"type": "integer", "minimum": 5, "title": "Minutes"},
            },
            "required": ["day", "minutes"],
        },
        "hosts": {"type": "array", "items": {"type": "string"}, "title": "Hosts"},
        "token": {"type": "string", "format": "password", "title": "Token of the registry"},
        "labels": {"type": "object", "title": "Labels"},
    },
    "required": ["environment", "notify", "window"],
}
EDIT = {
    "path": "src/release.py",
    "old_text": "def release():\n    push()\n    notify()\n",
    "new_text": "def release():\n    test()\n    push()\n    notify()\n",
}


@pytest.fixture(scope="module")
async def world(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    app = create_app(settings_of(module_database_url, temporal_address))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def new_request(world: World, **fields: Any) -> str:
    """The path of a page. The model has written why it makes the call."""
    async with world.client("alice") as client:
        task = await make_task(client, description="Release")
        execution = await execute(client, task)
        session_id = await give_session(world, execution, "waiting_for_user")
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.title = "Release version 4.2 of the shop"
        row.started_at = row.created_at
        text = "All 214 tests pass on the branch. I push it now, so that the pipeline can build it."
        content = json.dumps([{"type": "text", "text": text}])
        where = {"session_id": session_id, "execution_id": row.id, "seq": 1}
        session.add(MessageRow(role="assistant", content=content, **where))
        call = ToolCallRow(
            execution_id=row.id,
            turn=1,
            position=0,
            tool_use_id="toolu_1",
            name="bash",
            input="{}",
            input_sha256=b"",
            effect="external",
            status="waiting_for_user",
        )
        session.add(call)
        await session.flush()
        call_id = call.id
    return f"/inbox/{await ask(world, execution, **{'tool_call_id': call_id, **fields})}"


@asynccontextmanager
async def opened(
    browser: Browser,
    world: World,
    path: str,
    *,
    light: Light = "light",
    width: int = DESK,
    scripts: bool = True,
) -> AsyncIterator[Page]:
    """The page in a browser that has signed in; checks what it loaded."""
    context = await browser.new_context(
        base_url=world.url,
        color_scheme=light,
        viewport={"width": width, "height": 900},
        java_script_enabled=scripts,
    )
    page = await context.new_page()
    problems: list[str] = []
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type in REPORTED else None,
    )
    page.on(
        "request",
        lambda sent: None if sent.url.startswith(world.url) else problems.append(sent.url),
    )
    async with world.client("alice") as client:
        made = await client.post("/api/v1/sign-in-codes", json={"next": path})
    await page.goto(made.json()["url"])
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{world.url}{path}")
    yield page
    await context.close()
    refused = "Failed to load resource: the server responded with a status of 4"
    assert [text for text in problems if not text.startswith(refused)] == []


async def check(page: Page, name: str) -> None:
    """Nothing is wider than the window; axe finds nothing; with PICTURES set, takes a picture."""
    if pictures := os.environ.get("PICTURES"):
        await page.screenshot(path=Path(pictures) / f"{name}.png", full_page=True)
    assert await page.evaluate(SIDEWAYS) == 0, name
    assert await page.locator("script:not([src])").count() == 0
    await page.evaluate((installed_packages() / "axe-core" / "axe.min.js").read_text("utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [
        (violation["id"], node["target"], node["failureSummary"])
        for violation in found["violations"]
        for node in violation["nodes"]
    ] == [], name


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_the_pages_are_readable(
    browser: Browser, world: World, light: Light, width: int
) -> None:
    pages: dict[str, dict[str, Any]] = {
        "approval": {
            **APPROVAL,
            "tool_input": json.dumps({"command": "git push origin release/4.2"}),
            "body": "The task asks before `bash(git push *)`.",
            "assignee": "alice",
        },
        "edit": {
            **APPROVAL,
            "title": "Run edit_file?",
            "tool_name": "edit_file",
            "tool_input": json.dumps(EDIT),
        },
        "form": {"kind": "form", "title": "Where may I release?", "schema": FORM},
        "question": {"options": ["Now", "Tonight", "Never"], "title": "When may I release?"},
        "check": {
            "kind": "effect_check",
            "title": "send_mail was interrupted. Did it take effect?",
            "body": "The worker stopped while this call ran.\n\n- happened: …",
            "tool_name": "send_mail",
            "tool_input": json.dumps({"to": "team@example.com", "text": "Released.\nEnjoy."}),
        },
        "expired": {**APPROVAL, "status": "expired", "on_expiry": "deny"},
    }
    for name, fields in pages.items():
        path = await new_request(world, **fields)
        async with opened(browser, world, path, light=light, width=width) as page:
            colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, colour[4:-1].split(","))) < 384) is (light == "dark")
            await check(page, f"{name}-{light}-{width}")


@pytest.mark.parametrize("light", ["light", "dark"])
async def test_the_other_pages_are_readable(browser: Browser, world: World, light: Light) -> None:
    await new_request(world, title="When may I release?")
    async with opened(browser, world, "/inbox", light=light, width=PHONE) as page:
        await check(page, f"inbox-{light}")
        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("button", name="Sign out").click()
        await check(page, f"sign-in-{light}")
        await page.get_by_label("Token or API key").fill("nonsense")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await check(page, f"refused-{light}")


async def test_an_edit_is_approved_by_keyboard(browser: Browser, world: World) -> None:
    path = await new_request(world, **APPROVAL)
    async with opened(browser, world, path) as page:
        await page.locator("summary", has_text="Change the input").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Control+A")
        await page.keyboard.type("git push --dry-run")
        await check(page, "edit")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Approved with changes")).to_be_visible()
        await expect(page.get_by_text("git push --dry-run")).to_be_visible()
        await check(page, "edited")


async def test_an_answer_is_undone_with_a_key(browser: Browser, world: World) -> None:
    path = await new_request(world, **APPROVAL)
    async with opened(browser, world, path) as page:
        await page.keyboard.press("r")
        await expect(page.get_by_role("heading", name="Denied")).to_be_visible()
        await page.wait_for_load_state()  # the script that handles keys runs after the heading
        await page.keyboard.press("u")
        await expect(page.get_by_role("heading", name="Your decision")).to_be_visible()
        await page.wait_for_load_state()
        await page.keyboard.press("r")
        await expect(page.get_by_role("button", name="Undo")).to_be_disabled()  # after 5 s


async def test_the_discussion_updates_while_the_page_is_open(
    browser: Browser, world: World
) -> None:
    path = await new_request(world, assignee="ben", **APPROVAL)
    api = f"/api/v1/input-requests/{path.rpartition('/')[2]}"
    async with opened(browser, world, path) as page, world.client("ben") as colleague:
        comment = page.get_by_label("Add a comment")
        await comment.fill("I think")
        assert (await colleague.post(f"{api}/claim")).is_success
        await expect(page.get_by_text("ben works on this since")).to_be_visible()
        written = await colleague.post(f"{api}/comments", json={"body": "Is it tested?"})
        assert written.status_code == 201
        await expect(page.get_by_text("Is it tested?")).to_be_visible()
        await expect(comment).to_be_focused()
        await comment.press_sequentially(" so.")
        await expect(comment).to_have_value("I think so.")
        await check(page, "discussion")
        await page.get_by_role("button", name="Release it").click()
        await expect(page.get_by_role("button", name="I am on it")).to_be_visible()


async def test_a_form_with_errors_keeps_what_was_typed(browser: Browser, world: World) -> None:
    path = await new_request(world, kind="form", title="Where may I release?", schema=FORM)
    async with opened(browser, world, path, width=PHONE, scripts=False) as page:
        await page.get_by_label("staging").check()
        await page.get_by_role("group", name="Notify the team").get_by_label("No").check()
        await page.get_by_label("Day").fill("2026-12-01")
        await page.get_by_label("Minutes").fill("30")
        await page.get_by_label("Hosts").fill("one\ntwo")
        await page.get_by_label("Token of the registry").fill("hunter2")
        await page.get_by_label("Labels").fill("{")
        await page.get_by_role("button", name="Send answer").click()
        await expect(page.get_by_role("alert")).to_contain_text("Write valid JSON")
        await expect(page.get_by_label("Hosts")).to_have_value("one\ntwo")
        await page.get_by_label("Labels").fill('{"a": 1}')
        await page.get_by_role("button", name="Send answer").click()
        await expect(page.get_by_role("heading", name="Answered")).to_be_visible()
        await expect(page.get_by_text("hunter2")).to_have_count(0)
