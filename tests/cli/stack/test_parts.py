"""The parts by themselves, as on many machines: `perdure worker` and `perdure api`."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from cli import gateway
from cli.gateway import DatabaseRefusedError
from cli.stack import temporal
from cli.stack.addresses import free_port
from cli.stack.forks import UNKNOWN_CODE, AdoptedProcess, Forks
from cli.stack.parts import OWN_MODULE
from cli.stack.process import Part, RunningPart
from cli.stack.temporal import Temporal
from cli.stack.worker_processes import BY_SIGNAL
from runtime.readiness import is_announced
from runtime.settings import Settings
from tests.stack import READY_SECONDS, perdure, start
from tests.waiting import WITHIN_SECONDS, until


def test_a_worker_announces_itself_and_stops_on_sigterm(
    tmp_path: Path, database_url: str, temporal_server: Temporal
) -> None:
    ready = tmp_path / "ready"
    given = {
        "PERDURE_DATABASE_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": temporal_server.address,
        "PERDURE_READY_FILE": str(ready),
    }
    worker = start(tmp_path / "home", "worker", more=given)
    until(lambda: is_announced(ready, worker.pid), within=READY_SECONDS, what="the worker")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(READY_SECONDS) == 0


async def test_a_worker_stops_while_temporal_is_unavailable(
    tmp_path: Path, database_url: str
) -> None:
    server = Temporal(
        database=tmp_path / "temporal.db",
        port=free_port(),
        ui_port=free_port(),
        http_port=free_port(),
    )
    running = await RunningPart.start(temporal.part(server, tmp_path / "temporal.log"))
    ready = tmp_path / "ready"
    given = {
        "PERDURE_DATABASE_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": server.address,
        "PERDURE_READY_FILE": str(ready),
        "PERDURE_DRAIN_SECONDS": "0",
    }
    worker = start(tmp_path / "home", "worker", more=given)
    await asyncio.to_thread(
        until, lambda: is_announced(ready, worker.pid), within=READY_SECONDS, what="the worker"
    )
    await running.stop()
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, READY_SECONDS) == 1


def test_a_worker_that_the_database_refuses_ends_with_one_message(
    tmp_path: Path, database_url: str, temporal_server: Temporal
) -> None:
    given = {
        "PERDURE_DATABASE_URL": re.sub(":[^:@]+@", ":wrong-password@", database_url),
        "PERDURE_TEMPORAL_ADDRESS": temporal_server.address,
    }
    result = perdure(tmp_path / "home", "worker", **given)
    assert result.returncode == 1
    assert "password authentication failed" in result.stderr
    assert "correct PERDURE_DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_gateway_that_the_database_refuses_says_so(
    database_url: str, temporal_server: Temporal
) -> None:
    """In this process: `test_part_settings.py` shows what a process does with such an error."""
    settings = Settings.model_validate(
        {
            "database_url": re.sub(":[^:@]+@", ":wrong-password@", database_url),
            "temporal_address": temporal_server.address,
            "jwt_secret": "a-secret-of-thirty-two-bytes-or-more",
        }
    )
    with pytest.raises(DatabaseRefusedError, match="password authentication failed") as refused:
        gateway.serve(settings)
    assert "correct PERDURE_DATABASE_URL" in str(refused.value)
    assert refused.value.exit == 1


@pytest.mark.parametrize("killed", [False, True])
def test_worker_processes_stop_together(
    tmp_path: Path, database_url: str, temporal_server: Temporal, *, killed: bool
) -> None:
    ready = tmp_path / "ready"
    given = {
        "PERDURE_DATABASE_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": temporal_server.address,
        "PERDURE_READY_FILE": str(ready),
    }
    parent = start(tmp_path / "home", "worker", "--processes", "2", more=given)
    until(lambda: is_announced(ready, parent.pid), within=READY_SECONDS, what="the workers")
    workers = psutil.Process(parent.pid).children()
    assert len(workers) == 2

    if killed:
        workers[0].kill()
    else:
        parent.terminate()

    assert parent.wait(READY_SECONDS) == (BY_SIGNAL + signal.SIGKILL if killed else 0)
    assert not [worker for worker in workers if worker.is_running()]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "rebound.example", "closed.invalid"])
def test_no_web_page_can_use_the_embedded_temporal(temporal_server: Temporal, host: str) -> None:
    """Its HTTP port asks for no credentials and takes requests of any origin."""
    address = f"http://127.0.0.1:{temporal_server.http_port}/api/v1/namespaces/default"
    headers = {"host": f"{host}:{temporal_server.http_port}"}
    end_all = {"visibilityQuery": "ExecutionStatus='Running'", "terminationOperation": {}}
    assert httpx2.get(f"{address}/workflows", headers=headers).status_code == 403
    sent = httpx2.post(f"{address}/batch-operations/x", headers=headers, json=end_all)
    assert sent.status_code == 403


def test_a_gateway_serves_without_temporal_and_stops_on_sigterm(
    tmp_path: Path, database_url: str
) -> None:
    port = free_port()
    given = {
        "PERDURE_DATABASE_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "PERDURE_JWT_SECRET": "a-secret-of-at-least-thirty-two-bytes",
        "PERDURE_API_PORT": str(port),
    }
    process = start(tmp_path / "home", "api", more=given)

    def serves() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health/live").is_success
        except httpx2.HTTPError:
            return False

    until(serves, within=READY_SECONDS, what="the gateway")
    process.send_signal(signal.SIGTERM)
    assert process.wait(READY_SECONDS) in {0, -signal.SIGTERM}


NO_SECOND_FORK = """
import os
from cli.stack import forks

fork, pids = os.fork, []

def fork_once():
    if pids:
        raise BlockingIOError
    pids.append(fork())
    return pids[0]

os.fork = fork_once
part = {"name": "api", "command": ["none"], "environment": {}, "log": os.devnull}
try:
    forks.fork_parts([part, part], os.getppid())
except BlockingIOError:
    print(os.path.exists(f"/proc/{pids[0]}"))
"""


def test_no_part_is_forked_if_not_all_can_be() -> None:
    command = [sys.executable, "-c", NO_SECOND_FORK]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


async def test_a_part_that_fails_ends_no_other_part(tmp_path: Path) -> None:
    (tmp_path / "sleeping.py").write_text("import time; time.sleep(3600)")
    (tmp_path / "failing.py").write_text("raise OSError")

    async def at_once(pid: int) -> bool:
        return pid > 0

    def part(name: str) -> Part:
        return Part(
            name=name,
            command=[*OWN_MODULE, name],
            environment={},
            is_ready=at_once,
            log=tmp_path / "parts.log",
            start_seconds=READY_SECONDS,
            stop_seconds=READY_SECONDS,
        )

    paths = f"{tmp_path}{os.pathsep}{Path.cwd()}"
    forks = await Forks.load({**os.environ, "PYTHONPATH": paths}, tmp_path / "parts.log")
    assert forks is not None
    started = await forks.start([part("sleeping"), part("failing")])
    assert await started["failing"].wait() == 1

    assert started["sleeping"].returncode is None
    started["sleeping"].send_signal(signal.SIGTERM)
    assert await started["sleeping"].wait() == -signal.SIGTERM


async def test_the_end_of_a_fork_is_seen_even_if_signals_of_children_are_ignored() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = AdoptedProcess(os.posix_spawn("/bin/sleep", ["sleep", "0.1"], {}))  # noqa: ASYNC221 - returns at once
        async with asyncio.timeout(WITHIN_SECONDS):
            assert await process.wait() == UNKNOWN_CODE
    finally:
        signal.signal(signal.SIGCHLD, before)
