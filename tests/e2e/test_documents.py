"""Every command in the documents works as described."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.documents import PAGES, REPOSITORY, Block, block_with, blocks, find_commands
from tests.stack import COMMAND_SECONDS, Up, environment
from tests.waiting import until

TUTORIAL = "docs/tutorial.md"
README = "README.md"
PAGE_SECONDS = 500
RUN_PAGES = [
    page if page == TUTORIAL else pytest.param(page, marks=pytest.mark.long)
    for page in PAGES
    if find_commands(page) and page != README and "/recipes/" not in page
]
"""The commands of all guides, each a process, take 90 s of CPU (measured 2026-11-29): `make verify`
runs them. `tests/architecture/test_documents.py` checks for all pages that the commands exist."""


def run_commands(terminal: Path, commands: str, *, code: int = 0) -> str:
    """Type commands into a shell there; what they print."""
    shell = subprocess.run(
        ["/bin/bash", "-euc", commands],
        cwd=terminal,
        env=shell_environment(terminal),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    assert shell.returncode == code, shell.stdout + shell.stderr
    return shell.stdout


def shell_environment(terminal: Path) -> dict[str, str]:
    """As a person's: the home is the default one, below the current directory."""
    kept = environment(terminal)
    del kept["PERDURE_HOME"]
    return kept


def write_files(terminal: Path, document: str) -> None:
    """The files of a page."""
    for block in blocks(document):
        if block.title:
            file = terminal / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body)


def address_to(stack: Up, commands: str) -> str:
    """The commands for the address of this stack instead of the default one."""
    return commands.replace("http://127.0.0.1:8000", stack.facts()["api_url"])


def make_script(document: str, typed_blocks: list[Block]) -> str:
    """The blocks of a page in one shell, each announced, so that a failure says where it is."""
    parts = []
    for block in typed_blocks:
        expected = f"( {block.body} ) || test $? = {block.code}" if block.code else block.body
        parts.append(f"echo '--- {document}:{block.line}'\n{expected}")
    return "\n".join(parts)


@pytest.mark.timeout(PAGE_SECONDS + 60)
@pytest.mark.parametrize("document", RUN_PAGES)
def test_every_command_of_the_page_works(document: str, stack: Up, terminal: Path) -> None:
    write_files(terminal, document)
    run_commands(terminal, address_to(stack, make_script(document, find_commands(document))))


def test_the_readme_names_targets_that_make_knows() -> None:
    named = re.findall(r"\bmake ([a-z]+)", (REPOSITORY / README).read_text())
    listed = run_commands(REPOSITORY, "make help")
    assert {"demo", "test", "up"} <= set(named)
    assert [target for target in named if f"make {target} " not in listed] == []


def test_the_readmes_task_is_executed_over_http(stack: Up, terminal: Path) -> None:
    printed = run_commands(
        terminal, address_to(stack, block_with(README, "sh", "/execute?wait=30"))
    )
    execution = json.loads(printed)
    assert execution["status"] == "completed"
    assert execution["result_data"]["text"]
    assert execution["cost_usd"] > 0
    assert {"messages", "tool_calls", "model_calls", "events"} <= execution["_links"].keys()
    again = run_commands(terminal, ".venv/bin/perdure run haiku -v topic=patience --watch")
    assert execution["result_data"]["text"].split(":")[0] in again


def test_the_worker_is_killed_as_in_the_tutorial(terminal: Path) -> None:
    write_files(terminal, TUTORIAL)
    run, kill = block_with(TUTORIAL, "sh", "kill -9").splitlines()
    with subprocess.Popen(
        ["/bin/sh", "-c", run.removesuffix("&")],
        cwd=terminal,
        env=shell_environment(terminal),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        output = running.stdout or pytest.fail("no pipe")
        until(lambda: "⚙ bash" in output.readline(), what="the start of the command")
        run_commands(terminal, kill)
        printed, _ = running.communicate(timeout=COMMAND_SECONDS)
    assert running.returncode == 0
    assert "may have run in part" in printed
