"""Samples of a process, their phases and their flame graphs."""

import ast
import asyncio
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.flame_graph import Stacks, render
from bench.phases import BY_ROLE, EVENT_LOOP, SQLALCHEMY, count_by_phase
from bench.processes import CpuMeter
from bench.sampling import read, sample_stacks
from bench.waiting import eventually

ROOT = Path(__file__).parents[2]
PACKAGES = Path(sysconfig.get_path("purelib"))
FUNCTIONS = sorted({f for by in BY_ROLE.values() for names in by.values() for f in names})
BURN = "def burn():\n    while True: sum(range(1000))\nprint('there', flush=True)\nburn()\n"


def qualified_names(tree: ast.AST, within: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name
            yield from qualified_names(node, f"{within}{node.name}.")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_phases_exist(function: str) -> None:
    name, _, path = function.removesuffix(")").partition(" (")
    file = next(root / path for root in (ROOT, PACKAGES) if (root / path).exists())
    assert name in qualified_names(ast.parse(file.read_text(encoding="utf-8")))


def test_a_sample_counts_for_its_innermost_phase() -> None:
    phases = {"call": ["call (a.py)"], "write": ["write (b.py)"]}
    stacks: Stacks = Counter(
        {
            ("run (uvloop)", "call (a.py)", "read (c.py)"): 4,
            ("run (uvloop)", "call (a.py)", "write (b.py)", "read (c.py)"): 3,
            ("execute (sqlalchemy/engine.py)",): 2,
            ("run (uvloop)",): 1,
        }
    )
    found = count_by_phase(stacks, phases)
    assert found == {"call": 4, "write": 3, SQLALCHEMY: 2, EVENT_LOOP: 1}


def test_stacks_begin_with_the_event_loop_and_have_no_paths_of_the_machine() -> None:
    lines = f"main (worker.py);Runner.run (asyncio/runners.py);a ({ROOT}/agent/loop.py) 2\n"
    lines += "b (/usr/lib/python3.11/json/decoder.py);c (/x/site-packages/aiohttp/client.py) 1\n"
    assert read(lines) == {
        ("Runner.run (asyncio/runners.py)", "a (agent/loop.py)"): 2,
        ("b (json/decoder.py)", "c (aiohttp/client.py)"): 1,
    }


def test_a_flame_graph_shows_shares_and_leaves_small_ones_out() -> None:
    graph = render(Counter({("a", "b<c>"): 600, ("a",): 399, ("tiny",): 1}), "the worker")
    root = ET.fromstring(graph)  # noqa: S314 - our own
    titles = [e.text for e in root.iter() if e.tag.endswith("title")]
    assert titles == ["all: 100.0%", "a: 99.9%", "b<c>: 60.0%"]
    widths = [float(e.attrib["width"]) for e in root.iter() if e.tag.endswith("rect")]
    assert widths == [1200, 1198.8, 720]


async def test_the_functions_of_a_process_are_sampled(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BURN, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    async with sample_stacks(process.pid, tmp_path) as stacks:
        meter = CpuMeter({"worker": process.pid})

        async def has_worked() -> bool:
            return meter.read()["worker"] > 0.3

        await eventually(has_worked, within=60, what="0.3 s of CPU")
    process.kill()
    await process.wait()
    assert stacks.total() == stacks["<module> (<string>)", "burn (<string>)"] > 0
