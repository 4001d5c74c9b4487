"""The worker of `perdure queue work` without a gateway: it ends what it can no longer keep."""

import time
from pathlib import Path

import pytest

from cli import queue_worker
from cli.connection.client import Client
from cli.connection.endpoint import Endpoint
from cli.queue_worker import LeaseEnded

CLOSED = Endpoint("http://127.0.0.1:9", "a-token")
CLAIMED = {"id": "an-id", "lease_token": "a-token"}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_lease_that_ran_out_ends_the_command_and_what_it_has_started(tmp_path: Path) -> None:
    """The command has ended, but what it has started still holds its output."""
    pid_file = tmp_path / "pid"
    command = ["sh", "-c", f"sleep 60 & echo $! > {pid_file}"]
    with Client(CLOSED) as client, pytest.raises(LeaseEnded, match="ran out"):
        queue_worker.run_command(client, CLAIMED, 0.6, command)
    pid = int(pid_file.read_text())
    ends_at = time.monotonic() + 5
    while is_running(pid):
        assert time.monotonic() < ends_at
        time.sleep(0.01)
