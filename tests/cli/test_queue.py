"""`perdure queue`: work is added and ordered; a worker does it, until a cancel or a signal."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from cli.tokens import mint
from tests.api.world import SECRET, World
from tests.cli.conftest import Command
from tests.waiting import WITHIN_SECONDS, eventually

SLEEP = "import sys, time; sys.stdin.read(); print('on', flush=True); time.sleep(60)"
ECHO = """
import json, sys
work = json.load(sys.stdin)
print(work["prompt"], work["input_data"])
print("Done.")
"""


def token() -> str:
    return mint(SECRET, user="alice", role="user", lives=timedelta(hours=1))


async def show(perdure: Command, execution_id: str) -> dict[str, Any]:
    shown = await perdure("executions", "get", execution_id, "--json")
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


@asynccontextmanager
async def working(world: World, code: str, *options: str) -> AsyncIterator[Process]:
    """A worker in a process of its own that runs this code for each execution."""
    gateway = ("--api-url", world.url, "--token", token())
    command = ("queue", "work", *options, "--", sys.executable, "-c", code)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", *gateway, *command), stdout=PIPE, stderr=PIPE
    )
    try:
        yield worker
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()


async def work_once(world: World, code: str) -> str:
    """Run a worker for one execution; returns what it printed."""
    async with working(world, code, "--once") as worker:
        output, errors = await worker.communicate()
        assert worker.returncode == 0, errors
        return output.decode()


async def test_a_worker_runs_a_command_for_each_execution(world: World, perdure: Command) -> None:
    added = await perdure("queue", "add", "Find rhymes.", "--input", '{"word": "moon"}')
    first = added.stdout.strip()
    waiting = (await perdure("queue", "add", "Use them.", "--after", first)).stdout.strip()
    planned = json.loads((await perdure("queue", "plan", "--json")).stdout)
    assert [work["id"] for batch in planned["batches"] for work in batch] == [first, waiting]
    terms = ("--priority", "9", "--estimate", "60", "--deadline", "2h")
    changed = await perdure("queue", "change", first, *terms)
    assert "priority" in changed.stdout

    assert "completed" in await work_once(world, ECHO)
    done = await show(perdure, first)
    assert (done["status"], done["summary"]) == ("completed", "Done.")
    assert done["result_data"]["text"] == "Find rhymes. {'word': 'moon'}\nDone."

    assert "pending" in await work_once(world, "import sys; sys.exit(75)")
    assert "failed" in await work_once(world, "import sys; sys.exit('no ink')")
    failed = await show(perdure, waiting)
    assert failed["error_message"] == "The command ended with exit code 1.\nno ink"
    assert await work_once(world, ECHO) == ""
    counts = await perdure("queue", "status")
    assert "1 completed" in counts.stdout
    assert "No work is stale" in (await perdure("queue", "clean-up", "--apply")).stdout
    assert (await perdure("queue", "claim", "-o", "id", "--wait", "0.1")).stdout == ""
    assert (await perdure("queue", "work")).returncode == 2
    assert (await perdure("queue", "work", "--", "no-such-command")).returncode == 2
    assert f"chmod +x {__file__}" in (await perdure("queue", "work", "--", __file__)).stderr


async def test_a_result_is_reported_by_hand(perdure: Command) -> None:
    work = (await perdure("queue", "add", "Count the rhymes.")).stdout.strip()
    claimed = json.loads((await perdure("queue", "claim", "--execution", work, "--json")).stdout)
    files = ("--file", "a.txt", "--file", "b.txt")
    report = ("queue", "complete", work, "--lease-token", claimed["lease_token"], *files)
    assert "--result" in (await perdure(*report, "--result", "{")).stderr
    await perdure(*report, "--result", '{"rhymes": 3}')
    result = (await show(perdure, work))["result_data"]
    assert (result["output"], result["file_paths"]) == ({"rhymes": 3}, ["a.txt", "b.txt"])


async def test_finished_work_is_pruned(world: World, perdure: Command) -> None:
    finished, kept = [(await perdure("queue", "add", "A rhyme.")).stdout.strip() for _ in range(2)]
    await work_once(world, ECHO)
    chosen = ("queue", "prune", "--id", finished, "--id", kept)
    listed = await perdure(*chosen)
    assert (finished in listed.stdout, kept in listed.stdout) == (True, False)
    assert "--apply" in listed.stderr
    assert (await show(perdure, finished))["result_data"] is not None
    erased = json.loads((await perdure(*chosen, "--erase", "--apply", "--json")).stdout)
    assert [work["execution_id"] for work in erased["items"]] == [finished]
    assert (await show(perdure, finished))["result_data"] is None
    assert "There is no such work." in (await perdure(*chosen)).stdout
    neither = await perdure("queue", "prune", "--status", "failed")
    assert (neither.returncode, "how long ago" in neither.stderr) == (2, True)


async def test_a_cancel_and_a_signal_stop_the_command(
    world: World, perdure: Command, tmp_path: Path
) -> None:
    """A lease of 6 s lasts as long as its worker, which releases its work when it is stopped."""
    headers = {"Authorization": f"Bearer {token()}"}
    pids = tmp_path / "pids"
    code = f"import os; open({str(pids)!r}, 'a').write(str(os.getpid()) + chr(10)); {SLEEP}"
    first = (await perdure("queue", "add", "First.")).stdout.strip()
    async with (
        working(world, code, "--lease-seconds", "6") as worker,
        httpx2.AsyncClient(base_url=world.url, headers=headers) as client,
    ):

        async def read(execution_id: str) -> dict[str, Any]:
            response = await client.get(f"/api/v1/task-executions/{execution_id}")
            found: dict[str, Any] = response.json()
            return found

        async def is_running(execution_id: str) -> bool:
            return bool((await read(execution_id))["status"] == "running")

        async def has_second_command() -> bool:
            return pids.read_text().count("\n") == 2

        def has_ended(number: int) -> bool:
            return not Path(f"/proc/{pids.read_text().split()[number]}").exists()

        async def has_extended() -> bool:
            row = await read(first)
            lease, claim = (
                datetime.fromisoformat(row[n]) for n in ("lease_expires_at", "claimed_at")
            )
            return lease - claim > timedelta(seconds=6.5)

        await eventually(lambda: is_running(first), what="a claim")
        await eventually(has_extended, what="a heartbeat")
        await client.post(f"/api/v1/task-executions/{first}/cancel", json={"reason": "enough"})
        assert worker.stdout is not None
        assert "First." in (await worker.stdout.readline()).decode()
        assert "cancelled: enough" in (await worker.stdout.readline()).decode()
        assert has_ended(0)

        second = (await perdure("queue", "add", "Second.")).stdout.strip()
        await eventually(lambda: is_running(second), what="a second claim")
        await eventually(has_second_command, what="a second command")
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(worker.wait(), WITHIN_SECONDS) == 0
        released = await read(second)
        assert (released["status"], released["status_reason"]) == ("pending", "released")
        assert has_ended(1)
