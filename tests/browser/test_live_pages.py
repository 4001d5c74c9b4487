"""An execution of a real stack, followed and answered in a browser, with the scripted model."""

import json
import os
import re
import signal
import urllib.request

import pytest
from playwright.async_api import Browser, Page, expect

from tests.stack import Up

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # on a busy machine

PROMPT = """Look around.

```script
- text: "%s"
  chunk_delay_ms: 1000
  tool_use: {name: bash, input: {command: "echo first"}}
- text: "It printed {last_tool_result}"
```
""" % ("I look around, and write slowly, so that a person can follow each word of it. " * 12)
"""The answer takes some 20 seconds, so that the page can follow it on a busy machine."""


SLOW = """Write a lot.

```script
- text: "%s until the end."
  chunk_delay_ms: 3000
```
""" % ("I write slowly. " * 400)
"""The answer takes minutes, unless it is interrupted."""


def request(up: Up, path: str, body: dict[str, object]) -> dict[str, str]:
    facts = up.facts()
    headers = {"Authorization": f"Bearer {facts['token']}", "Content-Type": "application/json"}
    url = f"{facts['api_url']}/api/v1/{path}"
    sent = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - our own
    with urllib.request.urlopen(sent) as response:  # noqa: S310 - our own
        made: dict[str, str] = json.load(response)
    return made


async def sign_in(page: Page, up: Up, path: str) -> None:
    await page.goto(request(up, "sign-in-codes", {"next": path})["url"])
    await page.get_by_role("button", name="Sign in").click()


async def test_an_edited_command_runs_and_is_seen_across_a_restart(
    browser: Browser, stack: Up
) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await sign_in(page, stack, "/tasks/new")
    await page.get_by_label("Name", exact=True).fill("Look around")
    await page.get_by_label("Prompt", exact=True).fill(PROMPT)
    await page.get_by_label("Tools that need an approval").fill("bash")
    await page.get_by_role("button", name="Create task").click()
    await page.get_by_role("link", name="Run", exact=True).click()
    await page.get_by_role("button", name="Run", exact=True).click()
    # The text appears while it is written, and the request as soon as it is asked.
    await expect(page.locator("[data-live]")).to_contain_text("look around", timeout=60_000)
    await expect(page.get_by_role("link", name="Run bash?")).to_be_visible(timeout=60_000)
    await expect(page.locator("[data-live]")).to_be_empty()
    following = await context.new_page()
    await following.goto(page.url)

    await page.keyboard.press("a")  # to the request
    await page.wait_for_url("**/inbox/*")
    await page.keyboard.press("e")
    await page.get_by_label("Command", exact=True).fill("echo second")
    os.kill(stack.facts()["pids"]["api"], signal.SIGTERM)
    await expect(following.get_by_text("The connection is lost")).to_be_visible(timeout=60_000)
    await expect(following.get_by_text("The connection is lost")).to_be_hidden(timeout=120_000)
    await page.get_by_role("button", name="Approve with changes").click()
    await expect(page.get_by_role("heading", name="Approved with changes")).to_be_visible()

    await expect(following.locator("#head")).to_contain_text("completed", timeout=60_000)
    await expect(following.get_by_text("It printed The input of this call")).to_be_visible()
    ids = await following.locator("[id^=message-]").evaluate_all("all => all.map(e => e.id)")
    assert ids == [f"message-{seq}" for seq in (1, 2, 4)]  # 3 is the result of the tool
    await following.locator("summary", has_text="echo second").click()
    await expect(following.get_by_label("Output")).to_contain_text("second")
    await context.close()


async def test_a_conversation_is_a_chat(browser: Browser, stack: Up) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 844})
    page = await context.new_page()
    await sign_in(page, stack, "/sessions")
    await page.get_by_role("button", name="New conversation").click()
    await page.get_by_label("Message").fill("Hello.\n```script\n- text: Hello, **you**.\n```")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".say.assistant strong").last).to_have_text("you", timeout=60_000)
    await context.close()


async def test_a_message_interrupts_a_conversation(browser: Browser, stack: Up) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await sign_in(page, stack, "/sessions")
    await page.get_by_role("button", name="New conversation").click()
    await page.get_by_label("Message").fill(SLOW)
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("[data-live]")).to_contain_text("I write", timeout=60_000)
    await page.get_by_label("Message").fill("Stop.\n```script\n- text: I have stopped.\n```")
    await page.get_by_role("button", name="Interrupt").click()
    await expect(page.locator(".say.assistant").last).to_have_text(
        re.compile("I have stopped"), timeout=60_000
    )
    await expect(page.locator(".say.assistant")).to_have_count(1)  # no unfinished answer
    await expect(page.get_by_role("button", name="Interrupt")).to_have_count(0)
    await context.close()


async def test_a_newcomer_approves_a_tool_call(browser: Browser, stack: Up) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await sign_in(page, stack, "/start")
    await page.get_by_role("button", name=re.compile("^Run ")).click()
    await page.get_by_role("link", name="Run bash?").click(timeout=60_000)
    await page.wait_for_url("**/inbox/*")
    await page.keyboard.press("a")
    await page.get_by_role("link", name="Executions", exact=True).click()
    await page.get_by_role("link", name="First task").click()
    await expect(page.get_by_text("The command printed: Hello, world!")).to_be_visible(
        timeout=60_000
    )
    await context.close()
