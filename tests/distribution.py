"""How pytest-xdist shares the tests out among the worker processes.

A file runs in one process, so that what a module sets up is set up once. A folder whose tests share
a `perdure up` runs in one process too. What takes longest is handed out first: then no process is
left with a long file at the end.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # it has no types

ONE_PROCESS = ("tests/chaos/", "tests/e2e/")
"""Folders whose tests share a stack."""

LONGEST_FIRST = ("tests/chaos/", "tests/e2e/", "tests/cli/", "tests/workflows/", "tests/agent/")
"""Folders by the time that their files take; the rest follows as collected."""


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """Distributes files, and the folders of `ONE_PROCESS`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in ONE_PROCESS if file.startswith(folder)), file)


def sort_longest_first(items: list[pytest.Item]) -> None:
    """Sort in place; within a folder the order stays."""

    def rank(item: pytest.Item) -> int:
        ranks = (n for n, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder))
        return next(ranks, len(LONGEST_FIRST))

    items.sort(key=rank)
