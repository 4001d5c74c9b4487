"""`perdure up` as a user meets it: real processes, started, stopped and killed."""

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import psutil
import pytest

from cli.stack.home import Home
from cli.stack.postgres import Postgres
from cli.stack.temporal import Temporal
from tests.stack import ANY_PORTS, COMMAND_SECONDS, PERDURE, Up, environment, is_running, perdure
from tests.waiting import until

PARTS = ("postgres", "temporal", "worker", "api")

# The bar of `make bench` is 450 MB (PSS) on a quiet machine. Here the files that
# other stacks share count in full, and Postgres has more connections open on a busy machine, at
# 4 MB each: 534 MB were measured at a load of 16. Without forks it would be 80 MB more.
MEMORY_MB = 570


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up"), more={"ANTHROPIC_API_KEY": "a-key-of-the-model"})
    up.wait_ready()
    yield up
    if up.process.poll() is None:
        up.stop()


def alone_bytes(processes: list[psutil.Process]) -> int:
    """What these have on a machine of their own: each page of a file once.

    Their PSS is less where other processes have the same files open, as the tests' servers do.
    """
    files: dict[str, int] = {}
    own = 0
    for process in processes:
        for region in regions(process):
            is_file = region.path.startswith("/") and not region.path.startswith("/dev/zero")
            own += region.anonymous if is_file else region.pss
            if is_file:
                seen = files.get(region.path, 0)
                files[region.path] = max(seen, region.rss - region.anonymous)
    return own + sum(files.values())


def regions(process: psutil.Process) -> list[Any]:
    """Its memory; none of one that has ended, as Postgres's come and go."""
    try:
        return list(process.memory_maps())
    except psutil.NoSuchProcess:
        return []


def serves(up: Up) -> bool:
    try:
        return httpx2.get(f"{up.facts()['api_url']}/health/live").is_success
    except httpx2.HTTPError:
        return False


def test_ready_json_holds_what_the_contract_says_and_only_its_owner_reads_it(up: Up) -> None:
    facts = up.facts()
    assert set(facts) >= {
        *("api_url", "ui_url", "temporal_address", "temporal_ui_url", "database_url", "token"),
        "pids",
    }
    assert set(facts["pids"]) == {"supervisor", *PARTS}
    assert facts["pids"]["supervisor"] == up.process.pid
    assert all(psutil.pid_exists(pid) for pid in facts["pids"].values())
    assert stat.S_IMODE(up.home.ready_file.stat().st_mode) == 0o600
    assert httpx2.get(facts["temporal_ui_url"]).is_success


def test_the_model_shown_is_that_of_the_stack(up: Up) -> None:
    assert "Claude" in perdure(up.home.path, "status").stdout
    examined = perdure(up.home.path, "doctor").stdout  # without a key of its own
    assert "the stack on this home has access to a model" in examined


def test_one_line_says_ready(up: Up) -> None:
    lines = [line for line in up.output.read_text().splitlines() if line.startswith("ready ")]
    assert len(lines) == 1
    assert up.facts()["api_url"] in lines[0]


def test_everything_in_the_home_is_private(up: Up) -> None:
    ours = [path for path in up.home.path.rglob("*") if up.home.postgres_data not in path.parents]
    assert [path for path in ours if path.stat().st_mode & 0o077] == []


def test_a_second_up_says_that_one_is_running(up: Up) -> None:
    second = perdure(up.home.path, "up", *ANY_PORTS)
    assert second.returncode == 2
    assert up.facts()["api_url"] in second.stderr
    assert str(up.process.pid) in second.stderr


def test_idle_memory_stays_bounded(up: Up) -> None:
    processes = [psutil.Process(up.process.pid), *up.family()]
    assert alone_bytes(processes) / 1e6 < MEMORY_MB


def test_forks_have_names_and_the_gateway_has_no_key_of_the_model(up: Up) -> None:
    pids = up.facts()["pids"]
    for part in ("worker", "api"):
        process = psutil.Process(pids[part])
        assert (process.name(), process.cmdline()[0]) == (f"perdure-{part}", f"perdure-{part}")
    assert b"ANTHROPIC" not in Path(f"/proc/{pids['api']}/environ").read_bytes()


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_comes_back_and_ready_json_says_so(up: Up, part: str) -> None:
    before = until(lambda: up.facts()["pids"][part], what=part)
    os.kill(before, signal.SIGKILL)
    until(
        lambda: up.facts()["pids"][part] not in {before, None} and serves(up),
        what=f"{part} to come back",
    )
    assert up.has_printed(f"{part} was ended by SIGKILL")
    assert up.process.poll() is None


async def test_data_written_before_a_kill_is_there_after_it(up: Up) -> None:
    connection = await asyncpg.connect(up.facts()["database_url"])
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables > 10


def test_a_worker_that_hangs_is_reported(up: Up) -> None:
    facts = up.facts()
    os.kill(facts["pids"]["worker"], signal.SIGSTOP)
    health = f"{facts['api_url']}/health/ready"
    until(lambda: httpx2.get(health).json()["workers"] == "unavailable", what="its silence")
    for command in ("status", "doctor"):
        result = perdure(up.home.path, command)
        assert result.returncode == 1
        assert "workers unavailable" in result.stdout
        assert "so executions wait" in result.stdout + result.stderr
    os.kill(facts["pids"]["worker"], signal.SIGCONT)
    until(lambda: httpx2.get(health).json()["workers"] == "ok", what="its announcement")


def test_killing_the_supervisor_leaves_nothing_and_a_new_up_recovers(tmp_path: Path) -> None:
    first = Up(tmp_path)
    first.wait_ready()
    family = first.family()
    first.process.kill()
    first.process.wait()
    second = Up(tmp_path)
    until(lambda: not any(map(is_running, family)), what="the end of all parts")
    second.wait_ready()
    assert serves(second)
    assert "none: set ANTHROPIC_API_KEY" in perdure(second.home.path, "status").stdout
    family = second.family()
    assert second.stop(signal.SIGINT) == 0
    assert not any(map(is_running, family))
    assert second.home.read_ready() is None


def test_killing_everything_at_once_is_recovered_from(tmp_path: Path) -> None:
    first = Up(tmp_path)
    first.wait_ready()
    for process in [psutil.Process(first.process.pid), *first.family()]:
        with suppress(psutil.NoSuchProcess):  # the supervisor's end is the end of its parts
            process.kill()
    first.process.wait()
    second = Up(tmp_path)
    second.wait_ready()
    assert serves(second)
    assert second.stop() == 0


async def test_servers_of_ones_own_are_used_instead(
    tmp_path: Path, postgres: Postgres, temporal_server: Temporal
) -> None:
    """An empty database: `up` migrates it."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE DATABASE ones_own")
    await connection.close()
    database_url = f"{postgres.url.rpartition('/')[0]}/ones_own"
    given = {
        "PERDURE_DATABASE_URL": database_url,
        "PERDURE_TEMPORAL_ADDRESS": temporal_server.address,
    }
    up = Up(tmp_path, more=given)
    facts = up.wait_ready()
    assert facts["database_url"] == database_url
    assert facts["temporal_address"] == temporal_server.address
    assert facts["pids"]["postgres"] is None
    assert facts["pids"]["temporal"] is None
    assert not up.home.postgres_data.exists()
    assert httpx2.get(f"{facts['api_url']}/health/ready").is_success
    assert up.stop() == 0


def test_a_signal_during_the_start_stops_it_cleanly(tmp_path: Path) -> None:
    up = Up(tmp_path)
    until((up.home.path / "postgres.new").exists, what="the start of initdb")
    family = up.family()
    assert up.stop() == 0
    assert not any(map(is_running, family))
    assert not up.home.postgres_data.exists()


def test_a_first_start_on_a_disk_without_space_says_what_to_do(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=12m tmpfs {tmp_path} && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh"]
    result = subprocess.run(
        [*command, PERDURE, "up", *ANY_PORTS],
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert result.returncode == 1
    assert "The database can't be created: no space left on device. Free disk" in result.stderr
    assert f"All output is in {Home(tmp_path / 'home').log('setup')}." in result.stderr
    assert "initdb" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = perdure(tmp_path / "home", "up", *ANY_PORTS, "--api-port", port)
    assert result.returncode == 2
    assert f"Port {port} is in use" in result.stderr
    assert "--api-port" in result.stderr
    assert "Traceback" not in result.stderr
