"""A real `perdure up` in a process of its own: one that tests share, or one of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from cli.stack import launch
from cli.stack.home import Home
from cli.stack.process import tie_to_parent
from tests.waiting import until

PERDURE = Path(sys.executable).with_name("perdure")
ANY_PORTS = ("--api-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")

# On a busy machine of two cores the imports alone take ten seconds or more.
READY_SECONDS = 180.0
# Longer than any command needs on a busy machine; `demo` starts and stops a whole stack.
COMMAND_SECONDS = 200.0


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user who has set nothing but PERDURE_HOME and `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PERDURE_", "ANTHROPIC_"))
    }
    return {**kept, "PERDURE_HOME": str(home), **more}


def perdure(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [PERDURE, *arguments],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def start(
    home: Path,
    *arguments: str,
    output: IO[bytes] | None = None,
    more: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that ends with the test process, even if a test fails."""
    return subprocess.Popen(
        tie_to_parent([str(PERDURE), *arguments], signal.SIGTERM, launch.SELF),
        env=environment(home, **(more or {})),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Up"]:
    """`perdure up --scripted-model`, shared by all tests of a process that do not stop it."""
    # What still runs at the end is of no interest, so the worker need not complete it.
    more = {"PERDURE_DRAIN_SECONDS": "0"}
    up = Up(tmp_path_factory.mktemp("stack"), "--scripted-model", more=more)
    up.wait_ready()
    yield up
    assert up.stop() == 0


class Up:
    """One `perdure up`, from its start to its end."""

    def __init__(
        self, directory: Path, *options: str, more: Mapping[str, str] | None = None
    ) -> None:
        self.home = Home(directory / "home")
        self.output = directory / "up.out"
        with self.output.open("wb") as output:
            self.process = start(
                self.home.path, "up", *ANY_PORTS, *options, output=output, more=more
            )

    def wait_ready(self) -> dict[str, Any]:
        until(self._is_ready_or_dead, within=READY_SECONDS, what="ready.json")
        assert self.process.poll() is None, self.output.read_text()
        return self.facts()

    def facts(self) -> dict[str, Any]:
        facts = self.home.read_ready()
        assert facts is not None, self.output.read_text()
        return facts

    def has_printed(self, words: str) -> bool:
        return words in self.output.read_text()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(READY_SECONDS)

    def _is_ready_or_dead(self) -> bool:
        return self.has_printed("\nready ") or self.process.poll() is not None


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
