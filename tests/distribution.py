"""How pytest-xdist shares the tests out among the worker processes.

A file runs in one process, so that what a module sets up is set up once. Files that share a
`perdure up` run in one process too. What takes longest is handed out first: then no process is left
with a long file at the end.
"""

import os

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # it has no types

ONE_PROCESS = {
    "tests/chaos/": "the stack of the chaos tests",
    "tests/bench/": "the stack of the bench",
    "tests/browser/test_live_pages.py": "the shared stack",
    "tests/cli/test_against_a_stack.py": "the shared stack",
    "tests/cli/test_conversations.py": "the shared stack",
    "tests/cli/test_first_jobs.py": "the shared stack",
    "tests/cli/test_inbox_screen.py": "the shared stack",
    "tests/cli/test_live_updates.py": "the shared stack",
    "tests/cli/test_plans_commands.py": "the shared stack",
    "tests/cli/test_terminal.py": "the shared stack",
    "tests/e2e/test_documents.py": "the shared stack",
    "tests/e2e/test_generated_client.py": "the shared stack",
}
"""What files and folders share."""

MAX_PROCESSES = 8
"""Each has a Postgres and a Temporal (chosen)."""

LONGEST_FIRST = (
    *ONE_PROCESS,
    "tests/e2e/",
    "tests/cli/",
    "tests/workflows/",
    "tests/api/",
)
"""Files and folders by the time they take; the rest follows as collected."""


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """Distributes files, and the groups of `ONE_PROCESS`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        groups = (group for path, group in ONE_PROCESS.items() if file.startswith(path))
        return next(groups, file)


def count_processes() -> int:
    """One more than there are cores: about a third of the time, a test waits."""
    return min((os.cpu_count() or 1) + 1, MAX_PROCESSES)


def sort_longest_first(items: list[pytest.Item]) -> None:
    """Sort in place; within a folder the order stays."""

    def rank(item: pytest.Item) -> int:
        ranks = (n for n, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder))
        return next(ranks, len(LONGEST_FIRST))

    items.sort(key=rank)
