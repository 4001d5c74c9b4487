"""Restarting parts that end, with small real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.stack import supervisor as rules
from cli.stack.process import Part, PartFailedError
from cli.stack.supervisor import Supervisor
from runtime.readiness import is_announced
from tests.waiting import eventually

SERVES = """
import os, pathlib, signal, sys
from runtime.readiness import announce
announce(pathlib.Path(sys.argv[1]))
signal.pause()
"""
FAILS_THE_SECOND_TIME = """
import os, pathlib, signal, sys
from runtime.readiness import announce
tries = pathlib.Path(sys.argv[1] + ".tries")
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
if tries.read_text() == "xx":
    sys.exit("no second time")
announce(pathlib.Path(sys.argv[1]))
signal.pause()
"""


class Reports:
    """The sentences and the changes that a supervisor reported."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.changes = 0

    def changed(self) -> None:
        self.changes += 1

    def text(self) -> str:
        return "\n".join(self.sentences)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
async def supervisor(reports: Reports) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(report=reports.sentences.append, on_change=reports.changed)
    yield supervisor
    await supervisor.stop("part")


def part(directory: Path, program: str, *, stop_seconds: float = 5.0) -> Part:
    ready = directory / "ready"

    async def is_ready(pid: int) -> bool:
        return is_announced(ready, pid)

    return Part(
        name="part",
        command=[sys.executable, "-c", program, str(ready)],
        environment=os.environ,
        is_ready=is_ready,
        log=directory / "part.log",
        start_seconds=30,
        stop_seconds=stop_seconds,
    )


async def wait_for_restart(supervisor: Supervisor, before: int | None) -> int:
    async def other() -> int | None:
        now = supervisor.pid("part")
        return now if now != before else None

    return await eventually(other, what="the part")


async def test_a_part_that_ends_is_restarted_and_reported(
    supervisor: Supervisor, reports: Reports, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, SERVES))
    first = supervisor.pid("part")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await wait_for_restart(supervisor, first)
    assert "part was ended by SIGKILL; starting it again in 0.1 s" in reports.sentences

    async def both_changes() -> bool:
        return reports.changes == 2

    await eventually(both_changes)


async def test_each_restart_in_a_row_waits_longer(
    supervisor: Supervisor, reports: Reports, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, SERVES))
    pid = supervisor.pid("part")
    for _ in range(3):
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        pid = await wait_for_restart(supervisor, pid)
    waits = [sentence.rpartition(" in ")[2] for sentence in reports.sentences if " in " in sentence]
    assert waits == ["0.1 s", "0.2 s", "0.4 s"]


async def test_a_part_that_ran_long_enough_starts_over_with_the_first_delay(
    supervisor: Supervisor, reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "STEADY_SECONDS", 0)
    await supervisor.start(part(tmp_path, SERVES))
    pid = supervisor.pid("part")
    for _ in range(2):
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        pid = await wait_for_restart(supervisor, pid)
    assert reports.text().count("starting it again in 0.1 s") == 2


async def test_a_restart_that_fails_is_reported_and_retried(
    supervisor: Supervisor, reports: Reports, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, FAILS_THE_SECOND_TIME))
    first = supervisor.pid("part")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await wait_for_restart(supervisor, first)
    assert "no second time" in reports.text()
    assert "will be tried again in 0.2 s" in reports.text()


async def test_the_first_start_is_tried_once(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(PartFailedError, match=r"exited with code 1(?s:.*)sorry"):
        await supervisor.start(part(tmp_path, "import sys; sys.exit('sorry')"))
    assert supervisor.pid("part") is None


IGNORES_SIGTERM = SERVES.replace(
    "announce(", "signal.signal(signal.SIGTERM, signal.SIG_IGN); announce("
)


async def test_a_part_that_does_not_stop_in_time_is_killed(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, IGNORES_SIGTERM, stop_seconds=0.1))
    pid = supervisor.pid("part")
    assert pid is not None
    await supervisor.stop("part")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_kill_ends_a_stop_that_takes_its_time(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    await supervisor.start(part(tmp_path, IGNORES_SIGTERM, stop_seconds=600))
    stopping = asyncio.create_task(supervisor.stop("part"))
    await asyncio.sleep(0)  # let it send its signal
    supervisor.kill()
    await asyncio.wait_for(stopping, 60)
    assert supervisor.pid("part") is None
