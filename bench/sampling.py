"""Which functions a process runs, sampled by py-spy from outside of the process."""

import os
import re
import signal
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import READY_SECONDS, ROOT, Child
from bench.flame_graph import Stacks

SAMPLES_PER_SECOND = 100
"""Of each process, which stops for a moment for each of them (chosen)."""

PY_SPY = Path(sysconfig.get_path("scripts")) / "py-spy"
EVENT_LOOP = "Runner.run (asyncio/runners.py)"
DIRECTORIES = re.compile(rf"(?<=\()(?:{re.escape(str(ROOT))}|/.*?/(?:site-packages|lib/[^/]*))/")
"""What the path of a module begins with where py-spy has not removed it."""


@asynccontextmanager
async def sample_stacks(pid: int, directory: Path) -> AsyncIterator[Stacks]:
    """Sample a process while the block runs; the stacks are there after it.

    Only threads that run Python are counted, which are those with the interpreter's lock. A
    function is `name (path of its module)`.
    """
    log, output = directory / f"py-spy-{pid}.log", directory / f"py-spy-{pid}.txt"
    child = await Child.start_program(
        [
            *(str(PY_SPY), "record", "--pid", str(pid), "--rate", str(SAMPLES_PER_SECOND)),
            *("--gil", "--format", "raw", "--nolineno", "--output", str(output)),
        ],
        environment={},
        log=log,
        cwd=directory,
    )
    stacks: Stacks = Counter()
    try:
        await child.read_line(within=READY_SECONDS)  # "Sampling process ..."
        yield stacks
    finally:
        if child.is_running:
            os.kill(child.pid, signal.SIGINT)
        await child.wait_until_finished()
    stacks.update(read(output.read_text(encoding="utf-8")))


def read(collapsed: str) -> Stacks:
    """Read lines of a stack and a number of samples: `outer (a.py);inner (b.py) 12`.

    The functions that start the event loop are left out, and samples without a function.
    """
    stacks: Stacks = Counter()
    for line in collapsed.splitlines():
        stack, _, samples = line.rpartition(" ")
        functions = [DIRECTORIES.sub("", function) for function in stack.split(";")]
        first = functions.index(EVENT_LOOP) if EVENT_LOOP in functions else 0
        if stack:
            stacks[tuple(functions[first:])] += int(samples)
    return stacks
