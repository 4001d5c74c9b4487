"""Takes the pictures of the documentation: runs two recipes on a running Perdure, and opens pages.

Usage: `.venv/bin/python scripts/take_pictures.py`, after `perdure up` was started as
`docs/recipes/index.md` describes. The pictures are in `docs/assets/`.
"""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

REPOSITORY = Path(__file__).parents[1]
RECIPES = REPOSITORY / "docs" / "recipes"
PICTURES = REPOSITORY / "docs" / "assets"
SIZE = {"width": 1200, "height": 800}


def main() -> None:
    """Run the recipes, and take the pictures as the user of this home."""
    perdure("apply", "-f", f"{RECIPES}/reviewed-change/tasks")
    perdure("run", "reviewed-change", "-v", "change=Say hello in French.")
    link = perdure("inbox", "open").split()[-1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(viewport=SIZE)
        page.goto(link)
        page.get_by_role("button", name="Sign in").first.click()
        page.locator("main a[href^='/inbox/']").first.click()
        take(page, "request")
        page.locator("nav a[href='/executions']").click()
        page.locator("main a[href^='/executions/']").first.click()
        take(page, "execution")
        browser.close()


def take(page: Page, name: str) -> None:
    """Take a picture of the page when it has loaded, with the number of open requests."""
    page.wait_for_load_state("load")
    page.locator("#open-requests", has_text="1").wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")


def perdure(*arguments: str) -> str:
    """What a command prints; exit code 4 is an execution that waits for a person."""
    command = [str(Path(sys.executable).with_name("perdure")), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode not in {0, 4}:
        raise SystemExit(ended.stderr)
    return ended.stdout


if __name__ == "__main__":
    main()
